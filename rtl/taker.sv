// The queue of a slot with its zero-skip controller and taker (contract §5). In lock-step COLUMNS
// is T; with queues per column a slot has T takers of one column each.
module taker #(
    parameter COLUMNS = 2,
    parameter L  = 8,    // most lanes of the slot
    parameter V  = 8,
    parameter Q  = 4,    // entries that wait
    parameter Z  = 1,    // entries that may be dropped in a cycle
    parameter W  = 16,   // inputs in the window, a power of two
    parameter SELECT = 1, // k: inputs among which a lane may choose
    parameter SB = SELECT > 1 ? $clog2(SELECT) : 1,
    parameter R  = L > SELECT ? L : SELECT,   // reads of the window for an entry and column
    parameter XW = 10,
    parameter UW = 8
) (
    input  logic                     clk,
    input  logic                     clear,
    input  logic                     step,
    input  logic                     is_row,        // row mode
    input  logic [2:0]               lanes_log,     // log2 of g
    input  logic                     chooses,       // s = k, otherwise s = 1
    input  logic [XW-1:0]            inputs,        // of the tile
    input  logic [COLUMNS-1:0]       tokens,        // columns that have a token
    input  logic                     is_coming,     // entries are still to be delivered
    input  logic                     push,
    input  logic [XW-1:0]            push_low,      // first input of the entry
    input  logic [UW-1:0]            push_unit,
    input  logic [L-1:0]             push_bitmap,
    input  logic [L*SB-1:0]          push_selects,  // which of its inputs each lane takes
    input  logic [L*V-1:0]           push_values,
    input  logic [XW-1:0]            loaded,
    input  logic [COLUMNS*W*V-1:0]   window,
    input  logic [COLUMNS*W-1:0]     nonzero,
    output logic                     has_room,
    output logic                     has_front,
    output logic [XW-1:0]            front_low,
    output logic                     is_emptied,    // nothing waits after this cycle
    output logic                     takes,         // an entry is issued or dropped
    output logic [3:0]               dropped,
    output logic                     issue,
    output logic [COLUMNS-1:0]       live,          // columns that execute the issued entry
    output logic [UW-1:0]            unit,
    output logic [COLUMNS*L-1:0]     enable,        // lanes that multiply
    output logic [L*V-1:0]           weights,
    output logic [COLUMNS*R*V-1:0]   activations,   // row mode: one for each lane; column mode: the position
    output logic [L*SB-1:0]          selects,
    output logic [3:0]               state          // busy, zero_skip, window, decompressor
);
    localparam XX = XW + 1;
    localparam K  = Z + 1 < Q ? Z + 1 : Q;          // entries that are looked at
    localparam EW = XW + UW + L + L * V + L * $clog2(SELECT);
    localparam NW = $clog2(W);
    localparam QE = Q * EW;

    logic [Q*EW-1:0]        queue, shifted;
    logic [7:0]             count, kept;
    logic [XW-1:0]          low;
    logic [XW:0]            high;
    logic [NW-1:0]          place;
    logic [L-1:0]           bitmap;
    logic [L*SB-1:0]        chosen, front_selects;
    logic                   running, does_issue, is_live;
    logic [3:0]             drops;
    logic [COLUMNS-1:0]     alive;
    logic [COLUMNS*L-1:0]   lane_live;
    logic [COLUMNS*R*V-1:0] operands;
    logic [COLUMNS*R-1:0]   stands;                 // whether what is read is not zero
    logic [UW-1:0]          front_unit;
    logic [L*V-1:0]         front_values;

    assign has_room  = count < 8'(Q);
    assign has_front = count != 0;
    assign front_low = queue[XW-1:0];

    // Drops from the front, then one issue. `running` holds while all entries before were dropped.
    always_comb begin
        running = count != 0;
        does_issue = 1'b0;
        drops = 4'd0;
        alive = '0; lane_live = '0; operands = '0; front_unit = '0; front_values = '0;
        low = '0; high = '0; place = '0; bitmap = '0; is_live = 1'b0; chosen = '0; front_selects = '0; stands = '0;
        if (running)
            for (int k = 0; k < K; k++)
                if (running) begin
                    low     = queue[k*EW +: XW];
                    bitmap  = queue[k*EW+XW+UW +: L];
                    chosen  = SELECT > 1 ? queue[k*EW+XW+UW+L+L*V +: L*SB] : '0;
                    high    = {1'b0, low} + ((is_row ? XX'(1) << lanes_log : XX'(1)) << (chooses ? $clog2(SELECT) : 0));
                    if (high > {1'b0, inputs}) high = {1'b0, inputs};
                    if (count <= 8'(k) || high > {1'b0, loaded}) running = 1'b0;
                    else begin
                        alive = '0;
                        lane_live = '0;
                        operands = '0;
                        stands = '0;
                        // In row mode read i is what lane i selects, in column mode candidate i.
                        for (int i = 0; i < R; i++) begin
                            place = low[NW-1:0] + NW'(i);
                            if (is_row && i < L) place = place + (NW'(chosen[i%L*SB +: SB]) << lanes_log);
                            for (int c = 0; c < COLUMNS; c++) begin
                                stands[c*R+i] = nonzero[c*W + 32'(place)];
                                operands[(c*R+i)*V +: V] = window[(c*W + 32'(place))*V +: V];
                            end
                        end
                        for (int i = 0; i < L; i++)
                            if (bitmap[i])
                                for (int c = 0; c < COLUMNS; c++) begin
                                    is_live = tokens[c] && (Z == 0 || stands[c*R + (is_row ? i : 32'(chosen[i*SB +: SB]))]);
                                    lane_live[c*L+i] = is_live;
                                    alive[c] = alive[c] || is_live;
                                end
                        if (Z == 0 || alive != '0) begin
                            does_issue    = step;
                            front_unit    = queue[k*EW+XW +: UW];
                            front_selects = chosen;
                            front_values  = queue[k*EW+XW+UW+L +: L*V];
                            running       = 1'b0;
                        end else if (k < Z) drops = drops + 4'd1;
                        else running = 1'b0;
                    end
                end
        kept        = count - 8'(drops) - 8'(does_issue);
        shifted     = queue >> ((8'(drops) + 8'(does_issue)) * EW);
        dropped     = drops;
        issue       = does_issue;
        takes       = step && (does_issue || drops != 0);
        is_emptied  = kept == 0;
        live        = does_issue ? alive : '0;
        enable      = does_issue ? lane_live : '0;
        activations = does_issue ? operands : '0;
        selects     = front_selects;
        unit        = front_unit;
        weights     = front_values;
        if (does_issue) state = 4'b0001;
        else if (drops != 0) state = 4'b0010;
        else if (count != 0) state = 4'b0100;
        else if (is_coming) state = 4'b1000;
        else state = 4'b0000;
    end

    always_ff @(posedge clk)
        if (clear) begin
            queue <= '0;
            count <= 8'd0;
        end else if (step) begin
            queue <= push ? shifted | (QE'(EW'({push_selects, push_values, push_bitmap, push_unit, push_low})) << (kept * EW)) : shifted;
            count <= kept + 8'(push);
        end
endmodule
