// Takes a tile apart as its bytes arrive (contract §3, §6): descriptor and unit table go to the tile
// memory; records and words of sub-streams go to the rings of the PE rows.
module tile_loader #(
    parameter P     = 4,
    parameter M     = 8,
    parameter G     = 8,
    parameter B     = 16,
    parameter WIN   = 64,    // bytes of the DRAM that are seen from the first that is not taken
    parameter LOADS = 16,    // items that may be taken in a cycle
    parameter LINES = 4,     // lines that they may touch
    parameter WORDS = 256,
    parameter TABLE = 512,   // most bits of a unit table
    parameter RW    = 12
) (
    input  logic                 clk,
    input  logic                 reset,
    input  logic                 is_moving,
    input  logic                 is_first,     // part
    input  logic                 ends,         // the load
    input  logic [23:0]          arrived,
    input  logic [WIN*8-1:0]     dram,         // bytes from `taken` on
    output logic [23:0]          taken,
    input  logic [RW-1:0]        base,
    input  logic                 base_lap,
    input  logic [2:0]           share,        // slots of a set
    output logic [127:0]         descriptor,   // with the bytes of this cycle, as the table
    output logic [TABLE-1:0]     unit_table,
    output logic                 has_table,    // in this cycle its last byte is taken
    output logic [LOADS-1:0]     write,
    output logic [LOADS*8-1:0]   write_row,
    output logic [LOADS*RW-1:0]  write_address,
    output logic [LOADS-1:0]     write_lap,
    output logic [LOADS*8*B-1:0] write_word,
    output logic                 is_late       // a load ended with items not taken
);
    localparam RX = RW + 1;
    localparam S = P * M;

    logic [1:0]         phase, next_phase;     // descriptor, table, records, words
    logic [127:0]       seen;
    logic [TABLE-1:0]   table_so_far;
    logic [P*M*32-1:0]  records, next_records;
    logic [15:0]        line, next_line, index, next_index;
    logic [23:0]        end_of, next_taken;
    logic [7:0]         used;
    logic [WIN*8-1:0]   rest;
    logic [15:0]        size, bytes, words;
    logic [RW:0]        address;
    logic [7:0]         record_bytes, record_words, sets;
    logic [15:0]        units, table_bytes;
    logic [3:0]         set_bits;
    logic [15:0]        preceding;
    logic               stop, any;
    logic [2:0]         groups;

    always_comb begin
        next_phase = phase; unit_table = table_so_far; next_records = records; descriptor = seen;
        next_line = line; next_index = index; next_taken = taken;
        write = '0; write_row = '0; write_address = '0; write_lap = '0; write_word = '0;
        has_table = 1'b0;
        used = 8'd0; rest = dram; size = '0; bytes = '0; words = '0; address = '0; preceding = '0; end_of = '0;
        stop = !(is_moving && is_first);
        any = 1'b0;
        if (!stop && phase == 0) begin
            if (arrived >= 24'd16) begin
                descriptor = rest[127:0];
                rest = rest >> 128;
                next_taken = 24'd16;
                next_phase = 2'd1;
                next_index = 16'd0;
            end else stop = 1'b1;
        end
        groups = 3'(descriptor[5:4]);
        record_bytes = 8'd4 << groups;
        record_words = (record_bytes + 8'(B) - 8'd1) / 8'(B);
        units = descriptor[47:32];
        if (!descriptor[0]) units = (units + (16'(G) >> groups) - 16'd1) >> ($clog2(G) - 32'(groups));
        sets = (8'(P) / 8'(share)) << groups;
        set_bits = 4'd0;
        for (int k = 0; k < 8; k++) if ((8'd1 << k) < sets) set_bits = 4'(k + 1);
        table_bytes = descriptor[1] ? 16'd0 : (units * 16'(set_bits) + 16'd7) >> 3;
        if (!stop && next_phase == 1) begin
            for (int k = 0; k < LOADS; k++)
                if (next_index < table_bytes && arrived > next_taken) begin
                    unit_table[next_index*8 +: 8] = rest[7:0];
                    rest = rest >> 8;
                    next_index = next_index + 16'd1;
                    next_taken = next_taken + 24'd1;
                end
            if (next_index == table_bytes) begin
                has_table = 1'b1;
                next_phase = 2'd2;
                next_index = 16'd0;
            end else stop = 1'b1;
        end
        if (!stop && next_phase == 2) begin
            for (int r = 0; r < P; r++)
                for (int h = 0; h < (4 * M + B - 1) / B; h++)
                    if (!stop && 16'(r) * 16'(record_words) + 16'(h) == next_index && 8'(h) < record_words) begin
                        size = 16'(record_bytes) - 16'(h * B) < 16'(B) ? 16'(record_bytes) - 16'(h * B) : 16'(B);
                        if (24'(size) + next_taken <= arrived && used < 8'(LOADS)) begin
                            write[used] = 1'b1;
                            write_row[used*8 +: 8] = 8'(r);
                            write_word[used*8*B +: 8*B] = rest[8*B-1:0];
                            address = {1'b0, base} + RX'(h);
                            write_lap[used] = base_lap ^ (address >= RX'(WORDS));
                            write_address[used*RW +: RW] = address >= RX'(WORDS) ? RW'(address - RX'(WORDS)) : RW'(address);
                            for (int q = 0; q < B / 4; q++)
                                if (16'(q * 4) < size) next_records[(r*M + h*(B/4) + q)*32 +: 32] = rest[q*32 +: 32];
                            rest = rest >> (size * 8);
                            next_taken = next_taken + 24'(size);
                            used = used + 8'd1;
                            next_index = next_index + 16'd1;
                        end else stop = 1'b1;
                    end
            if (next_index == 16'(P) * 16'(record_words)) begin
                next_phase = 2'd3;
                next_index = 16'd0;
                next_line = 16'd0;
            end else stop = 1'b1;
        end
        if (!stop && next_phase == 3)
            for (int n = 0; n < LINES; n++) if (!stop) begin
                any = 1'b0;
                for (int r = 0; r < P; r++) begin
                    preceding = 16'(record_words);
                    for (int j = 0; j < M; j++) if (j < (1 << groups)) begin
                        bytes = next_records[(r*M+j)*32+16 +: 16];
                        words = 16'((32'(bytes) + B - 1) / B);
                        any = any || words > next_line + 16'd1;
                        if (!stop && 16'(r * M + j) >= next_index && words > next_line) begin
                            size = 16'(32'(bytes) - 32'(next_line) * B);
                            if (size > 16'(B)) size = 16'(B);
                            if (24'(size) + next_taken <= arrived && used < 8'(LOADS)) begin
                                write[used] = 1'b1;
                                write_row[used*8 +: 8] = 8'(r);
                                write_word[used*8*B +: 8*B] = rest[8*B-1:0];
                                address = {1'b0, base} + RX'(preceding) + RX'(next_line);
                                write_lap[used] = base_lap ^ (address >= RX'(WORDS));
                                write_address[used*RW +: RW] = address >= RX'(WORDS) ? RW'(address - RX'(WORDS)) : RW'(address);
                                rest = rest >> (size * 8);
                                next_taken = next_taken + 24'(size);
                                used = used + 8'd1;
                                next_index = 16'(r * M + j + 1);
                            end else stop = 1'b1;
                        end
                        preceding = preceding + words;
                    end
                end
                if (!stop && any) begin
                    next_line = next_line + 16'd1;
                    next_index = 16'd0;
                end else if (!stop) begin
                    next_index = 16'(S);
                    stop = 1'b1;
                end
            end
    end

    assign is_late = ends && !(next_phase == 2'd3 && next_index == 16'(S));
    always_ff @(posedge clk)
        if (reset || ends) begin
            phase <= 2'd0;
            taken <= 24'd0;
            index <= 16'd0;
            line <= 16'd0;
            records <= '0;
            table_so_far <= '0;
            seen <= '0;
        end else begin
            phase <= next_phase;
            taken <= next_taken;
            index <= next_index;
            line <= next_line;
            records <= next_records;
            table_so_far <= unit_table;
            seen <= descriptor;
        end
endmodule
