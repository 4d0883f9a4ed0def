// One slot: its parser, the position of its last entry, and its takers (contract §2, §5).
module slot #(
    parameter T  = 2,
    parameter L  = 8,          // most lanes of the slot
    parameter V  = 8,
    parameter Q  = 4,
    parameter Z  = 1,
    parameter W  = 16,
    parameter E  = 128,
    parameter XW = 10,
    parameter UW = 8,
    parameter SELECT = 1,      // k: inputs among which a lane may choose
    parameter SB = SELECT > 1 ? $clog2(SELECT) : 1,
    parameter R = L > SELECT ? L : SELECT,
    parameter MOST_SHARE = 4,  // most slots of a set
    parameter PER_COLUMN = 0   // queues per column
) (
    input  logic              clk,
    input  logic              clear,
    input  logic              step,
    input  logic              exists,         // at this number of lane groups
    input  logic              is_row,
    input  logic [2:0]        lanes_log,      // log2 of g
    input  logic              chooses,        // s = k, otherwise s = 1
    input  logic              is_dense,
    input  logic [1:0]        pattern,
    input  logic [4:0]        position_bits,
    input  logic [4:0]        unit_bits,
    input  logic [XW-1:0]     inputs,
    input  logic [T-1:0]      tokens,
    input  logic [2:0]        share,          // slots of a set
    input  logic [2:0]        place,          // of this slot among them
    input  logic [UW-1:0]     set_units,      // units of the set
    input  logic              has_last_unit,  // the set has the last unit of the tile
    input  logic [4:0]        last_outputs,   // of the last unit
    input  logic              is_known,       // the record is
    input  logic [15:0]       entries,
    input  logic [E-1:0]      bits,
    input  logic [15:0]       waiting,
    output logic              deliver,
    output logic [15:0]       length,
    input  logic [XW-1:0]     loaded,
    input  logic [T*W*V-1:0]  window,
    input  logic [T*W-1:0]    nonzero,
    output logic [XW-1:0]     bound,
    output logic              is_done,        // nothing is left after this cycle
    output logic [T-1:0]      issue,
    output logic [T-1:0]      live,
    output logic [T*UW-1:0]   unit,
    output logic [T*L-1:0]    enable,
    output logic [T*L*V-1:0]  weights,
    output logic [T*R*V-1:0]  activations,
    output logic [T*L*SB-1:0] selects,
    output logic [T-1:0]      takes,
    output logic [T*4-1:0]    dropped,
    output logic [T*4-1:0]    taker_state,
    output logic [1:0]        parser_stall    // queue_full, weight_buffer
);
    localparam UX = UW + 1;
    localparam XX = XW + 1;
    localparam N = PER_COLUMN != 0 ? T : 1;       // takers
    localparam COLUMNS = PER_COLUMN != 0 ? 1 : T;

    logic [15:0]    delivered;
    logic [XW-1:0]  last_low, position, low, difference, next_position;
    logic [UW-1:0]  parsed_unit, entry_unit, dense_unit, next_dense_unit;
    logic [UW:0]    walk;
    logic [XW-1:0]  dense_position;
    logic           is_first, has_left, is_complete, is_room;
    logic [4:0]     lanes;
    logic [L-1:0]   bitmap, dense_lanes;
    logic [L*SB-1:0] parsed_selects;
    logic [L*V-1:0] values;
    logic [N-1:0]   has_room, has_front, is_emptied;
    logic [N*XW-1:0] front_low;

    assign lanes = 5'd1 << lanes_log;
    assign has_left = exists && is_known && delivered != entries;

    // The entries of a dense tile are dealt in turn over the slots of a set.
    logic [XW:0]   rest;
    logic [XW-1:0] at;
    always_comb begin
        at = is_first ? '0 : position;
        walk = is_first ? UX'(place) : UX'(dense_unit) + UX'(share);
        rest = '0;
        dense_lanes = '0;
        if (is_dense) begin
            for (int k = 0; k < MOST_SHARE; k++)
                if (walk >= {1'b0, set_units} && set_units != 0) begin
                    walk = walk - {1'b0, set_units};
                    at = at + 1'b1;
                end
            rest = {1'b0, inputs} - ({1'b0, at} << lanes_log);
            if (is_row) dense_lanes = rest < XX'(lanes) ? ~({L{1'b1}} << rest) : ~({L{1'b1}} << lanes);
            else if (has_last_unit && walk[UW-1:0] == set_units - 1'b1)
                dense_lanes = ~({L{1'b1}} << last_outputs);
            else dense_lanes = ~({L{1'b1}} << lanes);
        end
        dense_position = at;
        next_dense_unit = walk[UW-1:0];
    end

    parser #(.L(L), .V(V), .E(E), .SELECT(SELECT), .XW(XW), .UW(UW)) fields (
        .bits, .waiting, .is_dense, .dense_lanes, .pattern, .position_bits, .unit_bits, .lanes, .chooses,
        .is_complete, .length, .difference, .unit(parsed_unit), .bitmap, .selects(parsed_selects), .values);

    assign next_position = is_dense ? dense_position : (is_first ? '0 : position) + difference;
    assign entry_unit = is_dense ? next_dense_unit : parsed_unit;
    assign low = (is_row ? next_position << lanes_log : next_position) << (chooses ? $clog2(SELECT) : 0);
    assign is_room = &has_room;
    assign deliver = step && has_left && is_complete && is_room;
    assign parser_stall[0] = exists && has_left && is_complete && !is_room;
    assign parser_stall[1] = exists && (!is_known || (has_left && !is_complete));

    always_ff @(posedge clk)
        if (clear) begin
            delivered <= 16'd0;
            position <= '0;
            last_low <= '0;
            dense_unit <= '0;
            is_first <= 1'b1;
        end else if (deliver) begin
            delivered <= delivered + 16'd1;
            position <= next_position;
            last_low <= low;
            dense_unit <= entry_unit;
            is_first <= 1'b0;
        end

    // The input below which this slot needs none.
    logic [XW-1:0] least;
    always_comb begin
        least = inputs;
        if (exists && has_front == '0 && (has_left || !is_known)) least = last_low;
        for (int k = 0; k < N; k++)
            if (has_front[k] && front_low[k*XW +: XW] < least) least = front_low[k*XW +: XW];
        bound = least;
    end

    assign is_done = !exists || (is_known && !has_left && &is_emptied);

    generate
        for (genvar k = 0; k < N; k++) begin : column
            logic one_issue, one_takes;
            logic [COLUMNS-1:0] one_live;
            logic [UW-1:0] one_unit;
            logic [L*SB-1:0] one_selects;
            logic [L*V-1:0] one_weights;
            taker #(.COLUMNS(COLUMNS), .L(L), .V(V), .Q(Q), .Z(Z), .W(W), .SELECT(SELECT), .XW(XW), .UW(UW)) taker (
                .clk, .clear, .step, .is_row, .lanes_log, .chooses, .inputs,
                .tokens(tokens[k*COLUMNS +: COLUMNS]),
                .is_coming(exists && tokens[k] && (!is_known || has_left)),
                .push(deliver && tokens[k]), .push_low(low), .push_unit(entry_unit),
                .push_bitmap(bitmap), .push_selects(parsed_selects), .push_values(values), .loaded,
                .window(window[k*COLUMNS*W*V +: COLUMNS*W*V]),
                .nonzero(nonzero[k*COLUMNS*W +: COLUMNS*W]),
                .has_room(has_room[k]), .has_front(has_front[k]),
                .front_low(front_low[k*XW +: XW]), .is_emptied(is_emptied[k]),
                .takes(one_takes), .dropped(dropped[k*4 +: 4]), .issue(one_issue), .live(one_live),
                .unit(one_unit), .enable(enable[k*COLUMNS*L +: COLUMNS*L]), .weights(one_weights),
                .activations(activations[k*COLUMNS*R*V +: COLUMNS*R*V]), .selects(one_selects),
                .state(taker_state[k*4 +: 4]));
            assign takes[k] = one_takes;
            assign issue[k*COLUMNS +: COLUMNS] = one_issue ? tokens[k*COLUMNS +: COLUMNS] : '0;
            assign live[k*COLUMNS +: COLUMNS] = one_issue ? one_live : '0;
            assign unit[k*COLUMNS*UW +: COLUMNS*UW] = {COLUMNS{one_unit}};
            assign selects[k*COLUMNS*L*SB +: COLUMNS*L*SB] = {COLUMNS{one_selects}};
            assign weights[k*COLUMNS*L*V +: COLUMNS*L*V] = {COLUMNS{one_weights}};
        end
        for (genvar k = N; k < T; k++) begin : no_column
            assign takes[k] = 1'b0;
            assign dropped[k*4 +: 4] = 4'd0;
            assign taker_state[k*4 +: 4] = 4'd0;
        end
    endgenerate
endmodule
