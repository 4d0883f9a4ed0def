// The queue of a slot with its zero-skip controller and taker (contract §5). In lock-step COLUMNS
// is T; with queues per column a slot has T takers of one column each.
module taker #(
    parameter COLUMNS = 2,
    parameter L  = 8,    // most lanes of the slot
    parameter V  = 8,
    parameter Q  = 4,    // entries that wait
    parameter Z  = 1,    // entries that may be dropped in a cycle
    parameter W  = 16,   // inputs in the window, a power of two
    parameter XW = 10,
    parameter UW = 8
) (
    input  logic                     clk,
    input  logic                     clear,
    input  logic                     step,
    input  logic                     is_row,        // row mode
    input  logic [4:0]               lanes,         // g
    input  logic [XW-1:0]            inputs,        // of the tile
    input  logic [COLUMNS-1:0]       tokens,        // columns that have a token
    input  logic                     is_coming,     // entries are still to be delivered
    input  logic                     push,
    input  logic [XW-1:0]            push_low,      // first input of the entry
    input  logic [UW-1:0]            push_unit,
    input  logic [L-1:0]             push_bitmap,
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
    output logic [COLUMNS*L*V-1:0]   activations,
    output logic [3:0]               state          // busy, zero_skip, window, decompressor
);
    localparam XX = XW + 1;
    localparam K  = Z + 1 < Q ? Z + 1 : Q;          // entries that are looked at
    localparam EW = XW + UW + L + L * V;
    localparam NW = $clog2(W);
    localparam QE = Q * EW;

    logic [Q*EW-1:0]      queue, shifted;
    logic [7:0]           count, kept;
    logic [K-1:0]         present, matched;
    logic [K*COLUMNS-1:0] alive;
    logic [K*COLUMNS*L-1:0] lane_live;
    logic [XW-1:0]        low;
    logic [XW:0]          high;
    logic [NW-1:0]        place;
    logic [L-1:0]         bitmap;
    logic                 running;

    assign has_room  = count < 8'(Q);
    assign has_front = count != 0;
    assign front_low = queue[XW-1:0];

    // Which of the first entries match, and for which columns and lanes they are live.
    always_comb begin
        alive = '0;
        lane_live = '0;
        low = '0; high = '0; place = '0; bitmap = '0;
        for (int k = 0; k < K; k++) begin
            present[k] = count > 8'(k);
            low     = queue[k*EW +: XW];
            bitmap  = queue[k*EW+XW+UW +: L];
            high    = is_row ? {1'b0, low} + XX'(lanes) : {1'b0, low} + 1'b1;
            if (high > {1'b0, inputs}) high = {1'b0, inputs};
            matched[k] = present[k] && high <= {1'b0, loaded};
            for (int i = 0; i < L; i++) begin
                place = low[NW-1:0] + (is_row ? NW'(i) : NW'(0));
                for (int c = 0; c < COLUMNS; c++)
                    if (matched[k] && tokens[c] && bitmap[i] && (Z == 0 || nonzero[c*W + 32'(place)])) begin
                        lane_live[(k*COLUMNS+c)*L + i] = 1'b1;
                        alive[k*COLUMNS+c] = 1'b1;
                    end
            end
        end
    end

    // Drops from the front, then one issue.
    always_comb begin
        dropped = 4'd0;
        running = 1'b1;
        for (int k = 0; k < K; k++) begin
            if (running && k < Z && matched[k] && alive[k*COLUMNS +: COLUMNS] == '0)
                dropped = dropped + 4'd1;
            else running = 1'b0;
        end
        issue = 1'b0; live = '0; unit = '0; weights = '0; enable = '0;
        for (int k = 0; k < K; k++)
            if (4'(k) == dropped && matched[k] && (Z == 0 || alive[k*COLUMNS +: COLUMNS] != '0)) begin
                issue   = step;
                live    = alive[k*COLUMNS +: COLUMNS];
                enable  = lane_live[k*COLUMNS*L +: COLUMNS*L];
                unit    = queue[k*EW+XW +: UW];
                weights = queue[k*EW+XW+UW+L +: L*V];
            end
        kept    = count - 8'(dropped) - 8'(issue);
        shifted = queue >> ((8'(dropped) + 8'(issue)) * EW);
        takes   = step && (issue || dropped != 0);
        is_emptied = kept == 0;
        state   = 4'b0000;
        if (issue) state[0] = 1'b1;
        else if (dropped != 0) state[1] = 1'b1;
        else if (has_front) state[2] = 1'b1;
        else if (is_coming) state[3] = 1'b1;
    end

    // Activations of the issued entry.
    logic [XW-1:0] issue_low;
    logic [NW-1:0] issue_place;
    always_comb begin
        activations = '0;
        issue_low   = queue[32'(dropped)*EW +: XW];
        issue_place = '0;
        for (int i = 0; i < L; i++) begin
            issue_place = issue_low[NW-1:0] + (is_row ? NW'(i) : NW'(0));
            for (int c = 0; c < COLUMNS; c++)
                if (enable[c*L+i])
                    activations[(c*L+i)*V +: V] = window[(c*W + 32'(issue_place))*V +: V];
        end
    end

    always_ff @(posedge clk)
        if (clear) begin
            queue <= '0;
            count <= 8'd0;
        end else if (step) begin
            queue <= push ? shifted | (QE'({push_values, push_bitmap, push_unit, push_low}) << (kept * EW)) : shifted;
            count <= kept + 8'(push);
        end
endmodule
