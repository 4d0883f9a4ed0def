// Sums the slots of each set and hands their words to the port (contract §6). The words of all sets,
// columns and lanes stand in one line that is cut into pieces of `cycles`; word q leaves in cycle q
// mod `cycles`. So a lane hands over one word a cycle at most, and the port gets its share.
module write_back #(
    parameter P = 4,
    parameter T = 2,
    parameter M = 8,
    parameter G = 8,
    parameter A = 32,
    parameter WORDS = 8,       // that the port takes
    parameter UW = 8
) (
    input  logic                clk,
    input  logic                reset,
    input  logic                active,
    input  logic [2:0]          share,        // PE rows of a set
    input  logic [127:0]        descriptor,
    input  logic [7:0]          token_count,  // of the group
    input  logic [P*M*UW-1:0]   counts,
    input  logic [P*A*UW-1:0]   units,
    output logic [P*T*G*UW-1:0] read_address,
    input  logic [P*T*G*32-1:0] read_sum,
    output logic                last,
    output logic [P*T*G-1:0]    valid,
    output logic [P*T*G*16-1:0] output_index, // within the tile
    output logic [P*T*G*32-1:0] word,
    output logic                is_over       // more words than the port takes
);
    logic        is_row;
    logic [1:0]  groups_log;
    logic [2:0]  lanes_log;
    logic [15:0] outputs, most, cycles, step, phase, number, length, taken, last_unit, last_outputs;
    logic [7:0]  set, slot, lane, target;
    logic [31:0] sum;
    logic [P*T*G*UW-1:0] addresses;
    logic [P*T*G-1:0]    valids;
    logic [P*T*G*16-1:0] indices;
    logic [P*T*G*32-1:0] words;
    logic [P*T*G*8-1:0] places, targets;                  // lane of the slot that has the word
    logic [UW-1:0] unit;
    integer      at, from;

    assign is_row = descriptor[0];
    assign groups_log = descriptor[5:4];
    assign lanes_log = 3'($clog2(G)) - 3'(groups_log);
    assign outputs = descriptor[47:32];
    assign last = active && step + 16'd1 == cycles;

    always_comb begin
        most = 16'd0;
        for (int s = 0; s < P * M; s++)
            if (16'(counts[s*UW +: UW]) > most) most = 16'(counts[s*UW +: UW]);
        cycles = (outputs * 16'(token_count) + 16'(WORDS) - 16'd1) / 16'(WORDS);
        if (cycles < most) cycles = most;
    end

    always_comb begin
        addresses = '0; valids = '0; indices = '0; places = '0;
        phase = 16'd0; number = '0; length = '0; taken = 16'd0;
        set = '0; slot = '0; lane = '0; target = '0; unit = '0; at = 0; from = 0;
        last_unit = is_row ? outputs - 16'd1 : (outputs - 16'd1) >> lanes_log;
        last_outputs = outputs - (last_unit << lanes_log);
        if (active)
            for (int r = 0; r < P; r++)
                for (int c = 0; c < T; c++)
                    for (int l = 0; l < G; l++) begin
                        slot = 8'(l) >> lanes_log;
                        lane = 8'(l) & ~(8'hFF << lanes_log);
                        set = 8'(((r / 32'(share)) << groups_log) + 32'(slot));
                        length = 16'(counts[set*UW +: UW]);
                        if (r % 32'(share) != 0 || 8'(c) >= token_count || (is_row && lane != 0)) length = 16'd0;
                        else if (!is_row && length != 0 && 16'(lane) >= last_outputs
                                 && 16'(units[(32'(set)*(A >> groups_log) + 32'(length) - 1)*UW +: UW]) == last_unit)
                            length = length - 16'd1;
                        number = step >= phase ? step - phase : step + cycles - phase;
                        if (number < length) begin
                            at = (r * T + c) * G + l;
                            unit = units[(32'(set)*(A >> groups_log) + 32'(number))*UW +: UW];
                            target = is_row ? (8'(number) & ~(8'hFF << lanes_log)) : 8'd0;
                            valids[at] = 1'b1;
                            indices[at*16 +: 16] = is_row ? 16'(unit) : (16'(unit) << lanes_log) + 16'(lane);
                            places[at*8 +: 8] = target;
                            for (int k = 0; k < P; k++)
                                if (k < 32'(share) && r + k < P) begin
                                    from = ((r + k) * T + c) * G + l + 32'(target);
                                    addresses[from*UW +: UW] = is_row ? UW'(number >> lanes_log) : UW'(number);
                                end
                            taken = taken + 16'd1;
                        end
                        phase = phase + length;
                        if (phase >= cycles) phase = phase - cycles;
                    end
        read_address = addresses;
        valid = valids;
        output_index = indices;
        targets = places;
        is_over = taken > 16'(WORDS);
    end

    // Set sum.
    always_comb begin
        words = '0;
        sum = '0;
        for (int r = 0; r < P; r++)
            for (int k = 0; k < T * G; k++)
                if (valid[r*T*G+k]) begin
                    sum = 32'd0;
                    for (int q = 0; q < P; q++)
                        if (q < 32'(share) && r + q < P)
                            sum = sum + read_sum[((r+q)*T*G + k + 32'(targets[(r*T*G+k)*8 +: 8]))*32 +: 32];
                    words[(r*T*G+k)*32 +: 32] = sum;
                end
        word = words;
    end

    always_ff @(posedge clk)
        if (reset || last) step <= 16'd0;
        else if (active) step <= step + 16'd1;
endmodule
