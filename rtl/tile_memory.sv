// The tile memory (contract §6): for each place the descriptor of a tile, the start of its room, and
// its unit table, decoded: how many units each set has, and which they are.
module tile_memory #(
    parameter P      = 4,
    parameter M      = 8,
    parameter G      = 8,
    parameter A      = 32,
    parameter PLACES = 4,
    parameter UNITS  = 64,    // most units of a tile
    parameter TABLE  = 512,
    parameter RW     = 12,
    parameter UW     = 8
) (
    input  logic               clk,
    input  logic               reset,
    input  logic [2:0]         share,
    input  logic               is_snake,       // how equal loads are dealt
    input  logic [3:0]         load_place,
    input  logic               has_table,
    input  logic [127:0]       descriptor,
    input  logic [TABLE-1:0]   unit_table,
    input  logic [RW-1:0]      base,
    input  logic               base_lap,
    input  logic               becomes_ready,
    input  logic               frees,          // the place `free_place`
    input  logic [3:0]         free_place,
    output logic [PLACES-1:0]  ready,
    input  logic [3:0]         pass_place,
    output logic [127:0]       pass_descriptor,
    output logic [RW-1:0]      pass_base,
    output logic               pass_lap,
    output logic [P*M*UW-1:0]  pass_counts,
    output logic [P*A*UW-1:0]  pass_units,
    input  logic [3:0]         write_place,
    output logic [127:0]       write_descriptor,
    output logic [P*M*UW-1:0]  write_counts,
    output logic [P*A*UW-1:0]  write_units     // unit k of set s at s·(A >> log2 n) + k
);
    localparam S = P * M;
    logic [127:0]      descriptors [0:PLACES-1];
    logic [RW:0]       bases [0:PLACES-1];
    logic [S*UW-1:0]   counts [0:PLACES-1];
    logic [P*A*UW-1:0] units [0:PLACES-1];

    assign pass_descriptor = descriptors[pass_place];
    assign {pass_lap, pass_base} = bases[pass_place];
    assign pass_counts = counts[pass_place];
    assign pass_units = units[pass_place];
    assign write_descriptor = descriptors[write_place];
    assign write_counts = counts[write_place];
    assign write_units = units[write_place];

    logic [S*UW-1:0]   next_counts;
    logic [P*A*UW-1:0] next_units;
    logic [15:0]       last, set;
    logic [7:0]        sets, dealt;
    logic [3:0]        set_bits;
    logic [UW-1:0]     number;
    logic              is_back;
    always_ff @(posedge clk)
        if (reset) ready <= '0;
        else begin
            if (has_table) begin
                next_counts = '0;
                next_units = '0;
                last = descriptor[47:32];
                if (!descriptor[0])
                    last = (last + (16'(G) >> descriptor[5:4]) - 16'd1) >> ($clog2(G) - 32'(descriptor[5:4]));
                sets = (8'(P) / 8'(share)) << descriptor[5:4];
                set_bits = 4'd0;
                for (int k = 0; k < 8; k++) if ((8'd1 << k) < sets) set_bits = 4'(k + 1);
                dealt = 8'd0;
                is_back = 1'b0;
                for (int u = 0; u < UNITS; u++)
                    if (16'(u) < last) begin
                        if (descriptor[1]) set = 16'(is_back ? sets - 8'd1 - dealt : dealt);
                        else set = 16'(unit_table >> (u * 32'(set_bits))) & ~(16'hFFFF << set_bits);
                        dealt = dealt + 8'd1;
                        if (dealt == sets) begin
                            dealt = 8'd0;
                            is_back = is_snake && !is_back;
                        end
                        number = next_counts[set*UW +: UW];
                        next_units[(32'(set) * (A >> descriptor[5:4]) + 32'(number))*UW +: UW] = UW'(u);
                        next_counts[set*UW +: UW] = number + 1'b1;
                    end
                descriptors[load_place] <= descriptor;
                bases[load_place] <= {base_lap, base};
                counts[load_place] <= next_counts;
                units[load_place] <= next_units;
            end
            if (frees) ready[free_place] <= 1'b0;
            if (becomes_ready) ready[load_place] <= 1'b1;
        end
endmodule
