// The activation buffer: inputs, written by the host before the layer, and outputs or partial sums.
module activation_buffer #(
    parameter P = 4,
    parameter T = 2,
    parameter G = 8,
    parameter V = 8,
    parameter IPC = 4,
    parameter TOKENS = 64,
    parameter INPUTS = 128,
    parameter OUTPUTS = 128,
    parameter XW = 10
) (
    input  logic                clk,
    input  logic                host_write,
    input  logic [31:0]         host_address,   // token · INPUTS + input
    input  logic [V-1:0]        host_data,
    input  logic [15:0]         token,          // first of the group in the window
    input  logic [T-1:0]        tokens,
    input  logic [15:0]         first_input,    // of the tile
    input  logic [XW-1:0]       loaded,
    output logic [T*IPC*V-1:0]  arriving,
    input  logic                is_first_range,
    input  logic [15:0]         write_token,
    input  logic [15:0]         first_output,
    input  logic [P*T*G-1:0]    valid,
    input  logic [P*T*G*16-1:0] output_index,
    input  logic [P*T*G*32-1:0] word,
    input  logic [31:0]         result_address, // token · OUTPUTS + output
    output logic [31:0]         result
);
    logic [V-1:0] inputs [0:TOKENS*INPUTS-1];
    logic [31:0]  outputs [0:TOKENS*OUTPUTS-1];
    integer       a;

    generate
        for (genvar c = 0; c < T; c++) begin : columns
            for (genvar k = 0; k < IPC; k++) begin : entering
                logic [31:0] x;
                assign x = 32'(first_input) + 32'(loaded) + k;
                assign arriving[(c*IPC+k)*V +: V] =
                    tokens[c] && x < INPUTS ? inputs[(32'(token) + c) * INPUTS + x] : '0;
            end
        end
    endgenerate
    assign result = outputs[result_address];

    always_ff @(posedge clk) begin
        if (host_write) inputs[host_address] <= host_data;
        for (int r = 0; r < P; r++)
            for (int c = 0; c < T; c++)
                for (int l = 0; l < G; l++)
                    if (valid[(r*T+c)*G+l]) begin
                        a = (32'(write_token) + c) * OUTPUTS + 32'(first_output) + 32'(output_index[((r*T+c)*G+l)*16 +: 16]);
                        outputs[a] <= (is_first_range ? 32'd0 : outputs[a]) + word[((r*T+c)*G+l)*32 +: 32];
                    end
    end
endmodule
