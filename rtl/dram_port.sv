// The DRAM as a bandwidth (contract §6): a load is up to three parts of bytes at a rate; a first
// latency where it does not follow the last load without a gap. In a cycle bytes_per_1000_cycles ·
// permille is added to the credit, and a byte costs a million.
module dram_port #(
    parameter MOST_BYTES = 32   // most bytes a cycle
) (
    input  logic        clk,
    input  logic        reset,
    input  logic        may_start,      // a tile, its room and its place are there
    input  logic [15:0] first_latency,
    input  logic [23:0] rate,           // bytes per 1000 cycles
    input  logic [71:0] part_bytes,     // three of 24 bits
    input  logic [29:0] part_permille,  // three of 10 bits
    input  logic [15:0] lead,
    output logic        is_waiting,     // for the first latency
    output logic        is_moving,
    output logic [23:0] arrived,        // bytes of the first part, with those of this cycle
    output logic        is_first,       // first part
    output logic        starts,         // a load begins
    output logic        ends,           // its last byte comes in this cycle
    output logic        becomes_ready   // its first pass may start in the next cycle
);
    logic        loading, gapless;
    logic [15:0] latency, latency_left, moved;
    logic [1:0]  part, last_part;
    logic [23:0] come, bytes, next;
    logic [31:0] credit, rest;

    assign starts       = may_start && !loading;
    assign latency      = starts ? (gapless ? 16'd0 : first_latency) : latency_left;
    assign is_waiting   = (loading || starts) && latency != 0;
    assign is_moving    = (loading || starts) && latency == 0;
    assign is_first     = part == 0;
    assign last_part    = part_bytes[48 +: 24] != 0 ? 2'd2 : part_bytes[24 +: 24] != 0 ? 2'd1 : 2'd0;
    assign bytes        = part_bytes[part*24 +: 24];

    always_comb begin
        rest = credit + 32'(rate) * 32'(part_permille[part*10 +: 10]);
        next = come;
        for (int k = 0; k < MOST_BYTES; k++)
            if (rest >= 32'd1000000) begin
                rest = rest - 32'd1000000;
                next = next + 24'd1;
            end
    end
    assign arrived       = is_moving ? next : come;
    assign ends          = is_moving && next >= bytes && part == last_part;
    assign becomes_ready = is_moving && moved + 16'd1 == lead;

    always_ff @(posedge clk)
        if (reset) begin
            loading <= 1'b0;
            gapless <= 1'b0;
            latency_left <= 16'd0;
            moved <= 16'd0;
            part <= 2'd0;
            come <= 24'd0;
            credit <= 32'd0;
        end else begin
            gapless <= ends;
            if (is_waiting) begin
                loading <= 1'b1;
                latency_left <= latency - 16'd1;
            end
            if (is_moving) begin
                loading <= !ends;
                moved <= ends ? 16'd0 : moved + 16'd1;
                latency_left <= 16'd0;
                come <= next >= bytes ? 24'd0 : next;
                credit <= next >= bytes ? 32'd0 : rest;
                if (next >= bytes) part <= ends ? 2'd0 : part + (part_bytes[24 +: 24] == 0 ? 2'd2 : 2'd1);
            end
        end
endmodule
