// The weight buffer of a PE row: a ring of words with a read port and a write
// port. The loader may hand over LOADS words in a cycle.
// The bit `lap` of an address says how often, modulo 2, the ring was filled before. A word read
// before it was written has the lap of an earlier tile.
module weight_buffer #(
    parameter WORDS = 256,
    parameter B     = 16,
    parameter LOADS = 4,
    parameter WAITING = 64,    // words that may wait for the write port
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
    localparam IW = 8 * B + 1 + RW;   // bits of a word that waits, with its address
    localparam PW = WAITING * IW;

    logic [8*B-1:0]   memory [0:WORDS-1];
    logic [WORDS-1:0] laps;
    logic [RW:0]      sum, address;
    logic             lap, is_over;

    assign sum = {1'b0, base} + {1'b0, offset};
    assign is_over = sum >= RX'(WORDS);
    assign address = is_over ? sum - RX'(WORDS) : sum;
    assign lap = base_lap ^ is_over;
    assign word = memory[address];
    assign is_unwritten = read && laps[address] != lap;

    // One word a cycle goes through the write port; others wait.
    logic [PW-1:0] queue, next;
    logic [7:0]    count, total;
    always_ff @(posedge clk)
        if (reset) begin
            laps <= '1;
            count <= 8'd0;
            queue <= '0;
        end else begin
            next = queue;
            total = count;
            for (int k = 0; k < LOADS; k++)
                if (write[k] && write_row[k*8 +: 8] == 8'(ROW)) begin
                    next[total*IW +: IW] = {write_word[k*8*B +: 8*B], write_lap[k], write_address[k*RW +: RW]};
                    total = total + 8'd1;
                end
            if (total != 0) begin
                memory[next[RW-1:0]] <= next[RW+1 +: 8*B];
                laps[next[RW-1:0]] <= next[RW];
                queue <= next >> IW;
                count <= total - 8'd1;
            end
        end
endmodule
