// The weight buffer of a PE row: a ring of words with a read port and LOADS write ports.
// The bit `lap` of an address says how often, modulo 2, the ring was filled before. A word read
// before it was written has the lap of an earlier tile.
module weight_buffer #(
    parameter WORDS = 256,
    parameter B     = 16,
    parameter LOADS = 4,
    parameter ROW   = 0,
    parameter RW    = 12
) (
    input  logic                 clk,
    input  logic                 reset,
    input  logic                 read,
    input  logic [RW-1:0]        base,
    input  logic                 base_lap,
    input  logic [RW-1:0]        offset,
    output logic [8*B-1:0]       word,
    output logic                 is_unwritten,
    input  logic [LOADS-1:0]     write,
    input  logic [LOADS*8-1:0]   write_row,
    input  logic [LOADS*RW-1:0]  write_address,
    input  logic [LOADS-1:0]     write_lap,
    input  logic [LOADS*8*B-1:0] write_word
);
    localparam RX = RW + 1;
    logic [8*B-1:0]   memory [0:WORDS-1];
    logic [WORDS-1:0] laps;
    logic [RW:0]      sum;
    logic [RW-1:0]    address;
    logic             lap;

    always_comb begin
        sum = {1'b0, base} + {1'b0, offset};
        lap = base_lap;
        if (sum >= RX'(WORDS)) begin
            sum = sum - RX'(WORDS);
            lap = !base_lap;
        end
        address = sum[RW-1:0];
    end
    assign word = memory[address];
    assign is_unwritten = read && laps[address] != lap;

    always_ff @(posedge clk)
        if (reset) laps <= '1;
        else
            for (int k = 0; k < LOADS; k++)
                if (write[k] && write_row[k*8 +: 8] == 8'(ROW)) begin
                    memory[write_address[k*RW +: RW]] <= write_word[k*8*B +: 8*B];
                    laps[write_address[k*RW +: RW]] <= write_lap[k];
                end
endmodule
