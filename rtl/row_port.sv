// The weight-buffer port of a PE row: reads records, then words for the slots, and holds the words
// in front of the parsers (contract §5). A slot has the words [j·c, (j+1)·c), c = BW / n.
module row_port #(
    parameter M  = 8,    // most slots of a row
    parameter B  = 16,   // bytes of a word
    parameter BW = 16,   // words that wait
    parameter E  = 128,  // most bits of an entry
    parameter RW = 12    // bits of an address in the weight buffer
) (
    input  logic             clk,
    input  logic             clear,
    input  logic             step,
    input  logic [1:0]       groups_log,  // log2 of n
    output logic             read,
    output logic [RW-1:0]    offset,      // of the word from the first one of the tile
    input  logic [8*B-1:0]   word,
    output logic             is_known,
    output logic             is_empty,    // this cycle's word ends the records, and none has entries
    output logic [M*16-1:0]  entries,
    output logic [M*E-1:0]   bits,
    output logic [M*16-1:0]  waiting,
    input  logic [M-1:0]     deliver,
    input  logic [M*16-1:0]  length
);
    localparam WB = 8 * B;
    localparam MOST_H = (32 * M + WB - 1) / WB;
    localparam SW = $clog2(BW);
    localparam NW = (WB - 1 + E + WB - 1) / WB;   // words that an entry may touch

    logic [WB-1:0]        store [0:BW-1];
    logic [MOST_H*WB-1:0] records, next_records;
    logic [7:0]           heard;                  // words of records read
    logic [7:0]           record_words, capacity;
    logic [M*8-1:0]       head, tail;             // words of the slot's part
    logic [M*16-1:0]      skip;                   // bits of the head word that are gone
    logic [M*16-1:0]      taken;                  // words read
    logic [M-1:0]         is_chosen;
    logic [15:0]          chosen_bytes;

    always_comb
        case (groups_log)
            2'd0: record_words = 8'((32 + WB - 1) / WB);
            2'd1: record_words = 8'((64 + WB - 1) / WB);
            2'd2: record_words = 8'((128 + WB - 1) / WB);
            default: record_words = 8'((256 + WB - 1) / WB);
        endcase
    assign capacity = 8'(BW) >> groups_log;
    assign is_known = heard == record_words;

    // Records.
    logic is_none;
    always_comb begin
        next_records = records;
        if (!is_known) next_records[heard*WB +: WB] = word;
        is_none = heard + 8'd1 == record_words;
        for (int j = 0; j < M; j++)
            if (j < (1 << groups_log) && next_records[j*32 +: 16] != 0) is_none = 1'b0;
        is_empty = is_none;
    end
    generate
        for (genvar j = 0; j < M; j++) begin : counts
            assign entries[j*16 +: 16] = records[j*32 +: 16];
        end
    endgenerate

    // The slot with the fewest bits, of those that have words left and room for one.
    logic [15:0]   least, left;
    logic [RW-1:0] first, words, next_offset;
    logic [M-1:0]  choice;
    always_comb begin
        choice = '0;
        least = 16'hFFFF;
        left = 16'd0;
        next_offset = RW'(heard);
        first = RW'(record_words);
        words = '0;
        if (is_known)
            for (int j = 0; j < M; j++) begin
                words = RW'((32'(records[j*32+16 +: 16]) + B - 1) / B);
                if (j < (1 << groups_log) && taken[j*16 +: 16] < 16'(words)
                    && 32'(waiting[j*16 +: 16]) + WB <= WB * 32'(capacity) && waiting[j*16 +: 16] < least) begin
                    choice = '0;
                    choice[j] = 1'b1;
                    least = waiting[j*16 +: 16];
                    next_offset = first + RW'(taken[j*16 +: 16]);
                    left = 16'(32'(records[j*32+16 +: 16]) - 32'(taken[j*16 +: 16]) * B);
                end
                first = first + words;
            end
        is_chosen = choice;
        offset = next_offset;
        chosen_bytes = left > 16'(B) ? 16'(B) : left;
        read = step && (!is_known || choice != '0);
    end

    // The bits in front of each parser.
    logic [NW*WB-1:0] line;
    logic [7:0]       at;
    logic [M*E-1:0]   lines;
    always_comb begin
        lines = '0;
        line = '0;
        at = 8'd0;
        for (int j = 0; j < M; j++)
            if (waiting[j*16 +: 16] != 0) begin
                at = head[j*8 +: 8];
                for (int k = 0; k < NW; k++) begin
                    line[k*WB +: WB] = store[capacity * SW'(j) + at[SW-1:0]];
                    at = at + 8'd1 == capacity ? 8'd0 : at + 8'd1;
                end
                line = line >> skip[j*16 +: 16];
                lines[j*E +: E] = line[E-1:0];
            end
        bits = lines;
    end

    logic [15:0] gone;
    logic [7:0]  next_head;
    always_ff @(posedge clk)
        if (clear) begin
            heard <= 8'd0;
            records <= '0;
            head <= '0;
            tail <= '0;
            skip <= '0;
            taken <= '0;
            waiting <= '0;
        end else if (step) begin
            if (!is_known) begin
                heard <= heard + 8'd1;
                records <= next_records;
            end
            for (int j = 0; j < M; j++) begin
                if (is_chosen[j]) begin
                    store[capacity * SW'(j) + tail[j*8 +: SW]] <= word;
                    tail[j*8 +: 8] <= tail[j*8 +: 8] + 8'd1 == capacity ? 8'd0 : tail[j*8 +: 8] + 8'd1;
                    taken[j*16 +: 16] <= taken[j*16 +: 16] + 16'd1;
                end
                if (deliver[j]) begin
                    gone = skip[j*16 +: 16] + length[j*16 +: 16];
                    next_head = head[j*8 +: 8];
                    for (int k = 0; k < NW; k++)
                        if (gone >= 16'(WB)) begin
                            gone = gone - 16'(WB);
                            next_head = next_head + 8'd1 == capacity ? 8'd0 : next_head + 8'd1;
                        end
                    skip[j*16 +: 16] <= gone;
                    head[j*8 +: 8] <= next_head;
                end
                waiting[j*16 +: 16] <= waiting[j*16 +: 16] + (is_chosen[j] ? chosen_bytes << 3 : 16'd0)
                                     - (deliver[j] ? length[j*16 +: 16] : 16'd0);
            end
        end
endmodule
