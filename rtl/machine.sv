// The mixed-vector machine of docs/microarchitecture.md, INT8: see docs/rtl.md.
module machine #(
    parameter P = 4, T = 2, G = 8, M = 8, A = 32, Q = 4, Z = 1, W = 16, IPC = 4, LATENCY = 4,
    parameter B = 16, BW = 16, WORDS = 256, PORT = 8, PER_COLUMN = 0, SELECT = 1, PLACES = 4, MOST_BYTES = 32,
    parameter TOKENS = 64, INPUTS = 128, OUTPUTS = 128, UNITS = 64, TABLE = 512,
    parameter V = 8, E = 128, RW = 12, XW = 10, UW = 8, LOADS = 16, WIN = MOST_BYTES + 2 * B + 16
) (
    input  logic               clk,
    input  logic               reset,
    input  logic               load_enable,
    input  logic               go,
    input  logic [2:0]         share,           // PE rows of a set
    input  logic               is_snake,
    input  logic [15:0]        tiles,
    input  logic [15:0]        token_count,
    input  logic [3:0]         place_limit,
    input  logic [15:0]        first_latency,
    input  logic [23:0]        rate,
    // The host's table of loads: of tile `load_tile`, and the room of tile `release_tile`.
    output logic [15:0]        load_tile,
    output logic [15:0]        release_tile,
    input  logic [RW-1:0]      load_room,
    input  logic [RW-1:0]      release_room,
    input  logic [71:0]        part_bytes,
    input  logic [29:0]        part_permille,
    input  logic [15:0]        lead,
    output logic [23:0]        dram_taken,      // first byte of the tile that is wanted
    input  logic [WIN*8-1:0]   dram,
    // Activations.
    input  logic               host_write,
    input  logic [31:0]        host_address,
    input  logic [V-1:0]       host_data,
    input  logic [31:0]        result_address,
    output logic [31:0]        result,
    // What happens in this cycle, for the counters.
    output logic               waits_tile, waits_bank, pass_starts, pass_step, pass_ends, layer_ends, all_loaded,
    output logic [T-1:0]       tokens,
    output logic [127:0]       descriptor,
    output logic               dram_waits, dram_moves, write_back_works,
    output logic [XW-1:0]      entering,
    output logic               window_full,
    output logic [P-1:0]       reads,
    output logic [P*M-1:0]     deliver,
    output logic [P*M*2-1:0]   parser_stall,
    output logic [P*M*T-1:0]   takes,
    output logic [P*M*T*4-1:0] dropped, taker_state,
    output logic [P*M*T-1:0]   issue, live,
    output logic [P*T*M*G-1:0] enable,
    output logic [3:0]         faults           // unwritten word, late loader, port, unit table
);
    logic               may_start, fits, load_starts, load_ends, becomes_ready, is_first, has_table;
    logic [23:0]        arrived;
    logic [3:0]         load_place, pass_place, write_place;
    logic [RW-1:0]      load_base, pass_base;
    logic               load_lap, pass_lap;
    logic [PLACES-1:0]  ready;
    logic [127:0]       load_descriptor, write_descriptor;
    logic [TABLE-1:0]   unit_table;
    logic [P*M*UW-1:0]  pass_counts, write_counts;
    logic [P*A*UW-1:0]  pass_units, write_units;
    logic [LOADS-1:0]   write, write_lap;
    logic [LOADS*8-1:0] write_row;
    logic [LOADS*RW-1:0]  write_address;
    logic [LOADS*8*B-1:0] write_word;
    logic               clear, releases, bank, write_bank, write_ends, write_frees, is_late, is_over;
    logic [15:0]        write_token, pass_token;
    logic [7:0]         write_tokens;
    logic [P-1:0]       row_done, is_unwritten;
    logic [XW-1:0]      loaded;
    logic [P*M*XW-1:0]  bounds;
    logic [T*W*V-1:0]   window_values;
    logic [T*W-1:0]     nonzero;
    logic [T*IPC*V-1:0] arriving;
    logic [P*T*G*UW-1:0] read_address;
    logic [P*T*G*32-1:0] read_sum, word;
    logic [P*T*G-1:0]    valid;
    logic [P*T*G*16-1:0] output_index;

    assign may_start = load_enable && load_tile != tiles && fits;
    assign all_loaded = load_tile == tiles;
    assign faults = {1'b0, is_over && write_back_works, is_late, |is_unwritten};
    always_ff @(posedge clk)
        if (reset) begin
            load_tile <= 16'd0;
            release_tile <= 16'd0;
        end else begin
            if (load_ends) load_tile <= load_tile + 16'd1;
            if (releases) release_tile <= release_tile + 16'd1;
        end

    dram_port #(.MOST_BYTES(MOST_BYTES)) dram_port (
        .clk, .reset, .may_start, .first_latency, .rate, .part_bytes, .part_permille, .lead,
        .is_waiting(dram_waits), .is_moving(dram_moves), .arrived, .is_first, .starts(load_starts),
        .ends(load_ends), .becomes_ready);
    room #(.WORDS(WORDS), .RW(RW)) room (
        .clk, .reset, .size(load_room), .place_limit, .starts(load_starts), .ends(load_ends), .releases,
        .released(release_room), .frees(write_frees), .fits, .base(load_base), .lap(load_lap), .place(load_place));
    tile_loader #(.P(P), .M(M), .G(G), .B(B), .WIN(WIN), .LOADS(LOADS), .WORDS(WORDS), .TABLE(TABLE), .RW(RW)) loader (
        .clk, .reset, .is_moving(dram_moves), .is_first, .ends(load_ends), .arrived, .dram, .taken(dram_taken),
        .base(load_base), .base_lap(load_lap), .share, .descriptor(load_descriptor), .unit_table, .has_table,
        .write, .write_row, .write_address, .write_lap, .write_word, .is_late);
    tile_memory #(.P(P), .M(M), .G(G), .A(A), .PLACES(PLACES), .UNITS(UNITS), .TABLE(TABLE), .RW(RW), .UW(UW)) tile_memory (
        .clk, .reset, .share, .is_snake, .load_place, .has_table, .descriptor(load_descriptor), .unit_table,
        .base(load_base), .base_lap(load_lap), .becomes_ready, .frees(write_frees), .free_place(write_place),
        .ready, .pass_place, .pass_descriptor(descriptor), .pass_base, .pass_lap, .pass_counts, .pass_units,
        .write_place, .write_descriptor, .write_counts, .write_units);
    pass_sequencer #(.T(T), .LATENCY(LATENCY), .PLACES(PLACES)) sequencer (
        .clk, .reset, .enable(go), .tiles, .token_count, .place_limit, .ready, .all_done(&row_done),
        .waits_tile, .waits_bank, .starts(pass_starts), .step(pass_step), .clear, .ends(pass_ends), .releases, .place(pass_place), .tokens,
        .token(pass_token), .bank, .writes(write_back_works), .write_ends, .write_bank, .write_token, .write_tokens,
        .write_frees, .write_place, .layer_ends);
    window #(.T(T), .V(V), .W(W), .IPC(IPC), .SLOTS(P*M), .XW(XW)) window (
        .clk, .clear, .step(pass_step), .inputs(descriptor[48 +: XW]), .bounds, .arriving, .loaded,
        .values(window_values), .nonzero, .entering, .is_full(window_full));
    activation_buffer #(.P(P), .T(T), .G(G), .V(V), .IPC(IPC), .TOKENS(TOKENS), .INPUTS(INPUTS), .OUTPUTS(OUTPUTS), .XW(XW))
        activation_buffer (
        .clk, .host_write, .host_address, .host_data, .token(pass_token), .tokens,
        .first_input(descriptor[95:80]), .loaded, .arriving, .is_first_range(write_descriptor[6]), .write_token,
        .first_output(write_descriptor[79:64]), .valid, .output_index, .word, .result_address, .result);
    write_back #(.P(P), .T(T), .M(M), .G(G), .A(A), .WORDS(PORT), .UW(UW)) write_back (
        .clk, .reset, .active(write_back_works), .share, .descriptor(write_descriptor), .token_count(write_tokens),
        .counts(write_counts), .units(write_units), .read_address, .read_sum, .last(write_ends), .valid,
        .output_index, .word, .is_over);

    generate
        for (genvar r = 0; r < P; r++) begin : rows
            pe_row #(.ROW(r), .P(P), .T(T), .M(M), .G(G), .V(V), .A(A), .Q(Q), .Z(Z), .W(W), .LATENCY(LATENCY),
                     .B(B), .BW(BW), .WORDS(WORDS), .LOADS(LOADS), .E(E), .RW(RW), .XW(XW), .UW(UW),
                     .PER_COLUMN(PER_COLUMN), .SELECT(SELECT)) pe_row (
                .clk, .reset, .clear, .step(pass_step), .descriptor, .base(pass_base), .base_lap(pass_lap),
                .counts(pass_counts), .units(pass_units), .share, .tokens, .bank,
                .write, .write_row, .write_address, .write_lap, .write_word, .loaded,
                .window(window_values), .nonzero, .bounds(bounds[r*M*XW +: M*XW]), .is_done(row_done[r]),
                .empty(write_ends), .read_bank(write_bank), .read_address(read_address[r*T*G*UW +: T*G*UW]),
                .read_sum(read_sum[r*T*G*32 +: T*G*32]), .reads(reads[r]), .is_unwritten(is_unwritten[r]),
                .deliver(deliver[r*M +: M]), .parser_stall(parser_stall[r*M*2 +: M*2]),
                .takes(takes[r*M*T +: M*T]), .dropped(dropped[r*M*T*4 +: M*T*4]),
                .taker_state(taker_state[r*M*T*4 +: M*T*4]), .issue(issue[r*M*T +: M*T]),
                .live(live[r*M*T +: M*T]), .enable(enable[r*T*M*G +: T*M*G]));
        end
    endgenerate
endmodule
