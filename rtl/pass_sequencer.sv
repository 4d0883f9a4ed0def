// Passes over tiles and groups, accumulator banks, and when each pass and write-back starts (contract §6).
module pass_sequencer #(
    parameter T       = 2,
    parameter LATENCY = 4,
    parameter PLACES  = 4
) (
    input  logic              clk,
    input  logic              reset,
    input  logic              enable,
    input  logic [15:0]       tiles,
    input  logic [15:0]       token_count,
    input  logic [3:0]        place_limit,
    input  logic [PLACES-1:0] ready,
    input  logic              all_done,       // nothing is left after this cycle
    output logic              waits_tile,     // the next pass waits for its tile
    output logic              waits_bank,     // and for its accumulators
    output logic              starts,
    output logic              step,
    output logic              clear,
    output logic              ends,           // the last cycle of a pass
    output logic              releases,       // the room of the tile, from the next cycle on
    output logic [3:0]        place,
    output logic [T-1:0]      tokens,
    output logic [15:0]       token,          // first token of the group
    output logic              bank,
    output logic              writes,
    input  logic              write_ends,
    output logic              write_bank,
    output logic [15:0]       write_token,    // first token of its group
    output logic [7:0]        write_tokens,   // tokens of its group
    output logic              write_frees,    // the place of the tile, from the next cycle on
    output logic [3:0]        write_place,
    output logic              layer_ends
);
    logic        running, is_between;
    logic [7:0]  drain;
    logic [15:0] tile, written, write_from;
    logic [1:0]  held, full;                  // banks in use, and waiting for write-back
    logic        is_last_group;

    assign is_between = enable && !running && drain == 0 && tile != tiles;
    assign waits_tile = is_between && !ready[place];
    assign waits_bank = is_between && held[bank];
    assign starts = is_between && ready[place] && !held[bank];
    assign step   = running || starts;
    assign clear  = reset || (step && all_done);
    assign ends   = drain == 8'd1;
    assign is_last_group = token + 16'(T) >= token_count;
    assign releases = ends && is_last_group;
    always_comb
        for (int c = 0; c < T; c++) tokens[c] = token + 16'(c) < token_count;

    assign writes = full[write_bank];
    assign write_token = write_from;
    assign write_tokens = write_from + 16'(T) > token_count ? 8'(token_count - write_from) : 8'(T);
    assign write_frees = write_ends && write_from + 16'(T) >= token_count;
    assign layer_ends = write_frees && written + 16'd1 == tiles;

    always_ff @(posedge clk)
        if (reset) begin
            running <= 1'b0;
            drain <= 8'd0;
            token <= 16'd0;
            tile <= 16'd0;
            place <= 4'd0;
            bank <= 1'b0;
            held <= 2'd0;
            full <= 2'd0;
            written <= 16'd0;
            write_from <= 16'd0;
            write_bank <= 1'b0;
            write_place <= 4'd0;
        end else begin
            if (starts) held[bank] <= 1'b1;
            running <= step && !all_done;
            if (step && all_done) drain <= 8'(LATENCY);
            else if (drain != 0) drain <= drain - 8'd1;
            if (ends) begin
                full[bank] <= 1'b1;
                bank <= !bank;
                token <= is_last_group ? 16'd0 : token + 16'(T);
                if (is_last_group) begin
                    tile <= tile + 16'd1;
                    place <= place + 4'd1 == place_limit ? 4'd0 : place + 4'd1;
                end
            end
            if (write_ends) begin
                full[write_bank] <= 1'b0;
                held[write_bank] <= 1'b0;
                write_bank <= !write_bank;
                write_from <= write_frees ? 16'd0 : write_from + 16'(T);
                if (write_frees) begin
                    written <= written + 16'd1;
                    write_place <= write_place + 4'd1 == place_limit ? 4'd0 : write_place + 4'd1;
                end
            end
        end
endmodule
