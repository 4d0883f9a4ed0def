// Room in the rings of the weight buffer and places in the tile memory, first in first out (contract §6).
module room #(
    parameter WORDS = 256,    // of a PE row
    parameter RW    = 12
) (
    input  logic          clk,
    input  logic          reset,
    input  logic [RW-1:0] size,         // words a row of the tile that comes next
    input  logic [3:0]    place_limit,
    input  logic          starts,       // its load
    input  logic          ends,
    input  logic          releases,     // the room of the oldest tile
    input  logic [RW-1:0] released,     // its words
    input  logic          frees,        // the place of the oldest tile
    output logic          fits,
    output logic [RW-1:0] base,
    output logic          lap,
    output logic [3:0]    place
);
    localparam RX = RW + 1;
    logic [RW:0]   used, next;
    logic [3:0]    places;

    assign fits = used + {1'b0, size} <= RX'(WORDS) && places < place_limit;
    always_comb begin
        next = {1'b0, base} + {1'b0, size};
        if (next >= RX'(WORDS)) next = next - RX'(WORDS);
    end

    always_ff @(posedge clk)
        if (reset) begin
            used <= '0;
            places <= 4'd0;
            place <= 4'd0;
            base <= '0;
            lap <= 1'b0;
        end else begin
            used <= used + (starts ? {1'b0, size} : '0) - (releases ? {1'b0, released} : '0);
            places <= places + 4'(starts) - 4'(frees);
            if (ends) begin
                place <= place + 4'd1 == place_limit ? 4'd0 : place + 4'd1;
                base <= next[RW-1:0];
                lap <= lap ^ ({1'b0, base} + {1'b0, size} >= RX'(WORDS));
            end
        end
endmodule
