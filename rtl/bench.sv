// Runs the jobs of a file one after another and prints what the machine did. Everything but the
// clock happens at its rising edge, so that every simulator sees the same.
module bench #(
    parameter P = 4, T = 2, G = 8, M = 8, A = 32, Q = 4, Z = 1, W = 16, IPC = 4, LATENCY = 4,
    parameter B = 16, BW = 16, WORDS = 256, PORT = 8, PER_COLUMN = 0, SELECT = 1, PLACES = 4, MOST_BYTES = 32,
    parameter TOKENS = 32, INPUTS = 64, OUTPUTS = 64, UNITS = 64, TABLE = 512, E = 128, LOADS = 16
);
    localparam WIN = MOST_BYTES + 2 * B + 16, RW = 12, XW = 16, UW = 8, TILES = 256, BYTES = 131072;
    localparam S = P * M, K = S * T;

    logic        clk = 1'b0, reset = 1'b1, load_enable = 1'b0, go = 1'b0, host_write = 1'b0;
    always #1 clk = !clk;

    logic [2:0]  share = 3'd1;
    logic        is_snake = 1'b0, is_resident = 1'b0;
    logic [15:0] tiles = 0, token_count = 0, first_latency = 0, load_tile, release_tile;
    logic [3:0]  place_limit = 4'd4, faults;
    logic [23:0] rate = 0, dram_taken;
    logic [31:0] host_address = 0, result_address = 0, result;
    logic [7:0]  host_data = 0;
    logic [71:0] part_bytes;
    logic [29:0] part_permille;
    logic [WIN*8-1:0] dram;
    logic        waits_tile, waits_bank, pass_starts, pass_step, pass_ends, layer_ends, all_loaded, dram_waits, dram_moves;
    logic        write_back_works, window_full;
    logic [T-1:0]   tokens;
    logic [127:0]   descriptor;
    logic [XW-1:0]  entering;
    logic [P-1:0]   reads;
    logic [S-1:0]   deliver;
    logic [S*2-1:0] parser_stall;
    logic [K-1:0]   takes, issue, live;
    logic [K*4-1:0] dropped, taker_state;
    logic [K*G-1:0] enable;

    integer      phase = 0;

    // The host's table of loads, and the DRAM.
    logic [31:0]  address [0:TILES-1];
    logic [RW-1:0] room [0:TILES-1];
    logic [15:0]  lead [0:TILES-1];
    logic [71:0]  bytes [0:TILES-1];
    logic [29:0]  permille [0:TILES-1];
    logic [7:0]   memory [0:BYTES-1];
    wire  [31:0]  at = address[load_tile] + 32'(dram_taken);
    wire  [RW-1:0] load_room = room[load_tile], release_room = room[release_tile];
    wire  [15:0]  load_lead = lead[load_tile];
    assign part_bytes = bytes[load_tile];
    assign part_permille = permille[load_tile];
    logic [WIN*8-1:0] seen;
    always @(at or phase) begin
        for (int k = 0; k < WIN; k++) seen[k*8 +: 8] = memory[at + k];
        dram = seen;
    end

    machine #(.P(P), .T(T), .G(G), .M(M), .A(A), .Q(Q), .Z(Z), .W(W), .IPC(IPC), .LATENCY(LATENCY), .B(B),
              .BW(BW), .WORDS(WORDS), .PORT(PORT), .PER_COLUMN(PER_COLUMN), .SELECT(SELECT), .PLACES(PLACES),
              .MOST_BYTES(MOST_BYTES), .TOKENS(TOKENS), .INPUTS(INPUTS), .OUTPUTS(OUTPUTS), .UNITS(UNITS),
              .TABLE(TABLE), .E(E), .LOADS(LOADS), .WIN(WIN), .RW(RW), .XW(XW), .UW(UW)) machine (
        .clk, .reset, .load_enable, .go, .share, .is_snake, .tiles, .token_count, .place_limit, .first_latency,
        .rate, .load_tile, .release_tile, .load_room, .release_room, .part_bytes, .part_permille,
        .lead(load_lead), .dram_taken, .dram, .host_write, .host_address, .host_data, .result_address, .result,
        .waits_tile, .waits_bank, .pass_starts, .pass_step, .pass_ends, .layer_ends, .all_loaded, .tokens, .descriptor, .dram_waits,
        .dram_moves, .write_back_works, .entering, .window_full, .reads, .deliver, .parser_stall, .takes,
        .dropped, .taker_state, .issue, .live, .enable, .faults);

    // Jobs.
    string  name, waves;
    logic [31:0] now = 32'd0;
    integer file, got, job = 0, values = 0, inputs = 0, outputs = 0, length = 0;
    integer most_cycles, start = 0, a, b, c, d, e, f, g, h, i;
    initial begin
        if (!$value$plusargs("jobs=%s", name)) $finish;
        if (!$value$plusargs("most_cycles=%d", most_cycles)) most_cycles = 1000000;
        file = $fopen(name, "r");
    end
    always @(negedge clk) if (file == 0) $finish;

    // Counters.
    integer waits, moves, writes, entered, enters, fulls, words, executed, pass_steps, cause = 0;
    integer busy [0:K-1], skipping [0:K-1], lacking [0:K-1], hungry [0:K-1], final_take [0:K-1];
    integer drops [0:K-1], drop_cycles [0:K-1], alive [0:K-1], offered [0:K-1], blocked [0:K-1], starved [0:K-1];
    task automatic forget;
        enters = 0; entered = 0; fulls = 0; words = 0; executed = 0; pass_steps = 0;
        for (int k = 0; k < K; k++) begin
            busy[k] = 0; skipping[k] = 0; lacking[k] = 0; hungry[k] = 0; final_take[k] = -1;
            drops[k] = 0; drop_cycles[k] = 0; alive[k] = 0; offered[k] = 0; blocked[k] = 0; starved[k] = 0;
        end
    endtask

    always @(posedge clk)
        case (phase)
            0: begin   // the next job
                got = $fscanf(file, "%d %d %d %d %d %d %d %d %d %d\n", a, b, c, d, e, f, g, h, i, length);
                if (got != 10) $finish;
                else begin
                    share <= 3'(a); is_snake <= b != 0; tiles <= 16'(c); token_count <= 16'(d);
                    place_limit <= 4'(e); first_latency <= 16'(f); rate <= 24'(g); is_resident <= h != 0;
                    inputs <= i; outputs <= length;
                    for (int t = 0; t < c; t++) begin
                        got = $fscanf(file, "%d %d %d\n", a, b, i);
                        address[t] = 32'(a); room[t] = RW'(b); lead[t] = 16'(i);
                        for (int k = 0; k < 3; k++) begin
                            got = $fscanf(file, "%d %d\n", a, b);
                            bytes[t][k*24 +: 24] = 24'(a); permille[t][k*10 +: 10] = 10'(b);
                        end
                    end
                    got = $fscanf(file, "%d\n", a);
                    for (int t = 0; t < a; t++) begin
                        got = $fscanf(file, "%h\n", b);
                        memory[t] = 8'(b);
                    end
                    for (int t = a; t < a + WIN; t++) memory[t] = 8'd0;
                    values <= 0;
                    forget;
                    cause = 0; waits = 0; moves = 0; writes = 0;
                    phase <= 1;
                end
            end
            1: if (values == 32'(token_count) * inputs) begin   // activations
                host_write <= 1'b0;
                reset <= 1'b0;
                load_enable <= 1'b1;
                go <= !is_resident;
                now <= 32'd0;
                phase <= 2;
                // Waveforms from here on, in the names of docs/timeline.md: +vcd=FILE.
                if (job == 0 && $value$plusargs("vcd=%s", waves)) begin
                    $dumpfile(waves);
                    $dumpvars(0, bench);
                end
            end else begin
                got = $fscanf(file, "%d\n", a);
                host_write <= 1'b1;
                host_address <= (values / inputs) * INPUTS + values % inputs;
                host_data <= 8'(a);
                values <= values + 1;
            end
            2: if (go) begin   // the layer
                now <= now + 32'd1;
                if (dram_waits) waits = waits + 1;
                if (dram_moves) moves = moves + 1;
                if (write_back_works) writes = writes + 1;
                if (faults != 0) $display("fault %0d %b", now, faults);
                if (waits_tile) cause = 1;
                else if (waits_bank) cause = 2;
                if (pass_starts) start = now;
                if (pass_step) begin
                    pass_steps = pass_steps + 1;
                    if (entering != 0) enters = enters + 1;
                    entered = entered + 32'(entering);
                    if (window_full) fulls = fulls + 1;
                    for (int r = 0; r < P; r++) if (reads[r]) words = words + 1;
                    executed = executed + $countones(enable);
                    for (int s = 0; s < S; s++) if (s % M < (1 << descriptor[5:4])) begin
                        if (deliver[s]) offered[s] = offered[s] + 1;
                        if (parser_stall[2*s]) blocked[s] = blocked[s] + 1;
                        if (parser_stall[2*s+1]) starved[s] = starved[s] + 1;
                        for (int k = s * T; k < s * T + T; k++) if (taker_state[k*4 +: 4] != 0) begin
                            if (taker_state[k*4]) busy[k] = busy[k] + 1;
                            if (taker_state[k*4+1]) skipping[k] = skipping[k] + 1;
                            if (taker_state[k*4+2]) lacking[k] = lacking[k] + 1;
                            if (taker_state[k*4+3]) hungry[k] = hungry[k] + 1;
                            if (takes[k]) final_take[k] = pass_steps - 1;
                            drops[k] = drops[k] + 32'(dropped[k*4 +: 4]);
                            if (dropped[k*4 +: 4] != 0) drop_cycles[k] = drop_cycles[k] + 1;
                        end
                        for (int k = s * T; k < s * T + T; k++) if (live[k]) alive[k] = alive[k] + 1;
                    end
                end
                if (pass_ends) begin
                    $display("pass %0d %0d %0d %0d %0d %0d %0d %0d %0d", cause, start, pass_steps, now + 1, executed, enters, entered, fulls, words);
                    for (int s = 0; s < S; s++) if (s % M < (1 << descriptor[5:4])) begin
                        $write("slot %0d %0d %0d %0d", s, offered[s], blocked[s], starved[s]);
                        for (int k = s * T; k < s * T + T; k++)
                            $write(" %0d %0d %0d %0d %0d %0d %0d %0d", busy[k], skipping[k], lacking[k], hungry[k], final_take[k], drops[k], drop_cycles[k], alive[k]);
                        $write("\n");
                    end
                    forget;
                    cause = 0;
                end
                if (now == most_cycles) begin
                    $display("stuck");
                    $finish;
                end
                if (layer_ends) begin
                    $display("layer %0d %0d %0d %0d %0d", job, now + 1, waits, moves, writes);
                    load_enable <= 1'b0;
                    go <= 1'b0;
                    values <= 0;
                    result_address <= 0;
                    phase <= 3;
                end
            end else if (all_loaded) go <= 1'b1;
            3: if (values == 32'(token_count) * outputs) begin   // outputs
                $display("");
                reset <= 1'b1;
                job <= job + 1;
                phase <= 0;
            end else begin
                if (values == 0) $write("outputs");
                $write(" %0d", $signed(result));
                values <= values + 1;
                result_address <= ((values + 1) / outputs) * OUTPUTS + (values + 1) % outputs;
            end
            default: ;
        endcase
endmodule
