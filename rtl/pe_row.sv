// A PE row: its weight buffer, the port, the slots and T PEs.
module pe_row #(
    parameter ROW = 0, P = 4, T = 2, M = 8, G = 8, V = 8, A = 32, Q = 4, Z = 1, W = 16, LATENCY = 4,
    parameter B = 16, BW = 16, WORDS = 256, LOADS = 16, E = 128, RW = 12, XW = 10, UW = 8,
    parameter PER_COLUMN = 0, SELECT = 1
) (
    input  logic                 clk,
    input  logic                 reset,
    input  logic                 clear,
    input  logic                 step,
    input  logic [127:0]         descriptor,
    input  logic [RW-1:0]        base,
    input  logic                 base_lap,
    input  logic [P*M*UW-1:0]    counts,        // units of each set
    input  logic [P*A*UW-1:0]    units,
    input  logic [2:0]           share,
    input  logic [T-1:0]         tokens,
    input  logic                 bank,
    input  logic [LOADS-1:0]     write,
    input  logic [LOADS*8-1:0]   write_row,
    input  logic [LOADS*RW-1:0]  write_address,
    input  logic [LOADS-1:0]     write_lap,
    input  logic [LOADS*8*B-1:0] write_word,
    input  logic [XW-1:0]        loaded,
    input  logic [T*W*V-1:0]     window,
    input  logic [T*W-1:0]       nonzero,
    output logic [M*XW-1:0]      bounds,
    output logic                 is_done,
    input  logic                 empty,
    input  logic                 read_bank,
    input  logic [T*G*UW-1:0]    read_address,
    output logic [T*G*32-1:0]    read_sum,
    output logic                 reads,
    output logic                 is_unwritten,
    output logic [M-1:0]         deliver,
    output logic [M*2-1:0]       parser_stall,
    output logic [M*T-1:0]       takes,
    output logic [M*T*4-1:0]     dropped,
    output logic [M*T*4-1:0]     taker_state,
    output logic [M*T-1:0]       issue,
    output logic [M*T-1:0]       live,
    output logic [T*M*G-1:0]     enable
);
    localparam GV = G * V;
    localparam R = G > SELECT ? G : SELECT;
    localparam RV = R * V;
    localparam SB = SELECT > 1 ? $clog2(SELECT) : 1;
    localparam GS = G * SB;
    logic [RW-1:0]      offset;
    logic [8*B-1:0]     word;
    logic               is_known, is_empty;
    logic [M*16-1:0]    entries, waiting, length;
    logic [M*E-1:0]     bits;
    logic [M-1:0]       slot_done;
    logic [T*M*UW-1:0]  unit;
    logic [T*M*G*V-1:0] weights;
    logic [T*M*R*V-1:0] activations;
    logic [T*M*G*SB-1:0] selects;
    logic [T*M-1:0]     live_in;
    logic [2:0]         lanes_log;
    logic [15:0]        last_unit, last_outputs, outputs;

    assign outputs = descriptor[47:32];
    assign lanes_log = 3'($clog2(G)) - 3'(descriptor[5:4]);
    assign last_unit = (outputs - 16'd1) >> lanes_log;
    assign last_outputs = outputs - (last_unit << lanes_log);
    assign is_done = is_known ? &slot_done : is_empty;

    weight_buffer #(.WORDS(WORDS), .B(B), .LOADS(LOADS), .ROW(ROW), .RW(RW)) buffer (
        .clk, .reset, .read(reads), .base, .base_lap, .offset, .word, .is_unwritten,
        .write, .write_row, .write_address, .write_lap, .write_word);
    row_port #(.M(M), .B(B), .BW(BW), .E(E), .RW(RW)) port (
        .clk, .clear, .step, .groups_log(descriptor[5:4]), .read(reads), .offset, .word, .is_known,
        .is_empty, .entries, .bits, .waiting, .deliver, .length);

    generate
        for (genvar j = 0; j < M; j++) begin : slots
            localparam L = G >> $clog2(j + 1);
            logic [T-1:0] one_issue, one_live;
            logic [T*UW-1:0] one_unit;
            logic [T*L-1:0] one_enable;
            localparam LR = L > SELECT ? L : SELECT;
            logic [T*L*V-1:0] one_weights;
            logic [T*LR*V-1:0] one_activations;
            logic [T*L*SB-1:0] one_selects;
            logic [7:0] set;
            logic [UW-1:0] set_units;
            logic exists;
            assign exists = j < (1 << descriptor[5:4]);
            assign set = 8'(((ROW / 32'(share)) << descriptor[5:4]) + j);
            assign set_units = counts[set*UW +: UW];
            slot #(.T(T), .L(L), .V(V), .Q(Q), .Z(Z), .W(W), .E(E), .XW(XW), .UW(UW),
                   .SELECT(SELECT), .MOST_SHARE(P), .PER_COLUMN(PER_COLUMN)) slot (
                .clk, .clear, .step, .exists, .is_row(descriptor[0]),
                .lanes_log, .chooses(descriptor[24]), .is_dense(descriptor[1]), .pattern(descriptor[3:2]),
                .position_bits(descriptor[12:8]), .unit_bits(descriptor[20:16]),
                .inputs(descriptor[48 +: XW]), .tokens, .share, .place(3'(ROW % 32'(share))), .set_units,
                .has_last_unit(set_units != 0
                    && 16'(units[(32'(set)*(A >> descriptor[5:4]) + 32'(set_units) - 1)*UW +: UW]) == last_unit),
                .last_outputs(last_outputs[4:0]), .is_known, .entries(entries[j*16 +: 16]),
                .bits(bits[j*E +: E]), .waiting(waiting[j*16 +: 16]), .deliver(deliver[j]),
                .length(length[j*16 +: 16]), .loaded, .window, .nonzero, .bound(bounds[j*XW +: XW]),
                .is_done(slot_done[j]), .issue(one_issue), .live(one_live), .unit(one_unit),
                .enable(one_enable), .weights(one_weights), .activations(one_activations),
                .selects(one_selects),
                .takes(takes[j*T +: T]), .dropped(dropped[j*T*4 +: T*4]),
                .taker_state(taker_state[j*T*4 +: T*4]), .parser_stall(parser_stall[j*2 +: 2]));
            assign issue[j*T +: T] = one_issue;
            assign live[j*T +: T] = one_live;
            for (genvar c = 0; c < T; c++) begin : columns
                assign live_in[c*M+j] = one_live[c];
                assign unit[(c*M+j)*UW +: UW] = one_unit[c*UW +: UW];
                assign enable[(c*M+j)*G +: G] = one_live[c] ? G'(one_enable[c*L +: L]) : '0;
                assign weights[(c*M+j)*G*V +: G*V] = GV'(one_weights[c*L*V +: L*V]);
                assign activations[(c*M+j)*R*V +: R*V] = RV'(one_activations[c*LR*V +: LR*V]);
                assign selects[(c*M+j)*G*SB +: G*SB] = GS'(one_selects[c*L*SB +: L*SB]);
            end
        end
        for (genvar c = 0; c < T; c++) begin : pes
            pe #(.M(M), .G(G), .V(V), .A(A), .LATENCY(LATENCY), .SELECT(SELECT), .UW(UW)) pe (
                .clk, .reset, .is_row(descriptor[0]), .lanes_log, .bank, .live(live_in[c*M +: M]),
                .unit(unit[c*M*UW +: M*UW]), .enable(enable[c*M*G +: M*G]),
                .weights(weights[c*M*G*V +: M*G*V]), .activations(activations[c*M*R*V +: M*R*V]),
                .selects(selects[c*M*G*SB +: M*G*SB]),
                .empty, .read_bank, .read_address(read_address[c*G*UW +: G*UW]),
                .read_sum(read_sum[c*G*32 +: G*32]));
        end
    endgenerate
endmodule
