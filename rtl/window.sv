// The matching unit: the window of inputs that all columns share (contract §5).
module window #(
    parameter T     = 2,
    parameter V     = 8,
    parameter W     = 16,   // a power of two
    parameter IPC   = 4,    // inputs that enter per cycle
    parameter SLOTS = 32,
    parameter XW    = 10
) (
    input  logic                 clk,
    input  logic                 clear,
    input  logic                 step,
    input  logic [XW-1:0]        inputs,    // of the tile
    input  logic [SLOTS*XW-1:0]  bounds,
    input  logic [T*IPC*V-1:0]   arriving,  // inputs loaded, loaded + 1, ... of each token
    output logic [XW-1:0]        loaded,
    output logic [T*W*V-1:0]     values,    // input x stands at x mod W
    output logic [T*W-1:0]       nonzero,
    output logic [XW-1:0]        entering,  // inputs that enter in this cycle
    output logic                 is_full    // none enters though some are left
);
    localparam XX = XW + 1;
    localparam NW = $clog2(W);

    logic [XW-1:0] base, least;
    logic [XW:0]   next;
    logic [NW-1:0] at;

    always_comb begin
        least = inputs;
        for (int s = 0; s < SLOTS; s++)
            if (bounds[s*XW +: XW] < least) least = bounds[s*XW +: XW];
        next = {1'b0, loaded} + XX'(IPC);
        if (next > {1'b0, base} + XX'(W)) next = {1'b0, base} + XX'(W);
        if (next > {1'b0, inputs}) next = {1'b0, inputs};
        entering = next[XW-1:0] - loaded;
        is_full = step && entering == 0 && loaded != inputs;
    end

    always_ff @(posedge clk)
        if (clear) begin
            base <= '0;
            loaded <= '0;
            values <= '0;
            nonzero <= '0;
        end else if (step) begin
            base <= least;
            loaded <= next[XW-1:0];
            for (int w = 0; w < W; w++) begin
                at = NW'(w) - loaded[NW-1:0];
                if (XW'(at) < entering)
                    for (int k = 0; k < IPC; k++)
                        if (at == NW'(k))
                            for (int c = 0; c < T; c++) begin
                                values[(c*W+w)*V +: V] <= arriving[(c*IPC+k)*V +: V];
                                nonzero[c*W+w] <= arriving[(c*IPC+k)*V +: V] != 0;
                            end
            end
        end
endmodule
