// One PE: G lanes in groups, an adder tree for row mode, LATENCY stages and two accumulator banks
// (contract §2, §5). In column mode unit k of a slot has word k of each of its lanes; in row mode
// it has word ⌊k/g⌋ of lane k mod g. INT8 operands, 32-bit sums that wrap.
module pe #(
    parameter M  = 8,
    parameter G  = 8,
    parameter V  = 8,
    parameter A  = 32,        // words of a bank
    parameter LATENCY = 4,        // at least 1
    parameter UW = 8
) (
    input  logic              clk,
    input  logic              reset,
    input  logic              is_row,
    input  logic [2:0]        lanes_log,
    input  logic              bank,         // of the pass that issues
    input  logic [M-1:0]      live,         // the slot executes an entry in this column
    input  logic [M*UW-1:0]   unit,
    input  logic [M*G-1:0]    enable,       // by slot, then by lane of the slot
    input  logic [M*G*V-1:0]  weights,
    input  logic [M*G*V-1:0]  activations,
    input  logic              empty,        // forget the sums of `read_bank`
    input  logic              read_bank,
    input  logic [G*UW-1:0]   read_address,
    output logic [G*32-1:0]   read_sum
);
    localparam D  = (A + G - 1) / G;        // words of a lane in a bank
    localparam SW = G + G * UW + 1 + G * 32;
    localparam PW = LATENCY * SW;

    // Products, and in row mode their sums over the lanes of each slot.
    logic [G-1:0]    write;
    logic [G*UW-1:0] address;
    logic [G*32-1:0] product, level, addend;
    logic [4:0]      slot, lane, first, target;
    always_comb begin
        product = '0;
        write = '0;
        address = '0;
        addend = '0;
        slot = 5'd0; lane = 5'd0; first = 5'd0; target = 5'd0;
        for (int l = 0; l < G; l++) begin
            slot = 5'(l) >> lanes_log;
            lane = 5'(l) & ~(5'h1F << lanes_log);
            if (32'(slot) < M && enable[32'(slot)*G + 32'(lane)])
                product[l*32 +: 32] = 32'($signed(weights[(32'(slot)*G+32'(lane))*V +: V])
                                         * $signed(activations[(32'(slot)*G+32'(lane))*V +: V]));
        end
        level = product;
        for (int k = 1; k < G; k = k * 2)
            if ((5'(k) >> lanes_log) == 0)
                for (int l = 0; l + k < G; l += 2 * k)
                    level[l*32 +: 32] = level[l*32 +: 32] + level[(l+k)*32 +: 32];
        for (int l = 0; l < G; l++) begin
            slot = 5'(l) >> lanes_log;
            lane = 5'(l) & ~(5'h1F << lanes_log);
            first = slot << lanes_log;
            if (32'(slot) < M && live[slot]) begin
                if (!is_row) begin
                    write[l] = enable[32'(slot)*G + 32'(lane)];
                    address[l*UW +: UW] = unit[32'(slot)*UW +: UW];
                    addend[l*32 +: 32] = product[l*32 +: 32];
                end else if (lane == (unit[32'(slot)*UW +: 5] & ~(5'h1F << lanes_log))) begin
                    write[l] = 1'b1;
                    address[l*UW +: UW] = unit[32'(slot)*UW +: UW] >> lanes_log;
                    addend[l*32 +: 32] = level[32'(first)*32 +: 32];
                end
            end
        end
    end

    // Stages.
    logic [LATENCY*SW-1:0] stages;
    logic [SW-1:0]         last;
    always_ff @(posedge clk)
        if (reset) stages <= '0;
        else stages <= PW'({stages, addend, bank, address, write});
    assign last = stages[(LATENCY-1)*SW +: SW];

    // Accumulators.
    logic [31:0]      sums [0:2*G*D-1];
    logic [2*G*D-1:0] used;
    integer           w;
    always_ff @(posedge clk)
        if (reset) used <= '0;
        else begin
            if (empty) used[32'(read_bank)*G*D +: G*D] <= '0;
            for (int l = 0; l < G; l++)
                if (last[l]) begin
                    w = (32'(last[G+G*UW])*G + l) * D + 32'(last[G+l*UW +: UW]);
                    sums[w] <= (used[w] ? sums[w] : 32'd0) + last[G+G*UW+1+l*32 +: 32];
                    used[w] <= 1'b1;
                end
        end
    integer r;
    always_comb begin
        read_sum = '0;
        r = 0;
        for (int l = 0; l < G; l++) begin
            r = (32'(read_bank)*G + l) * D + 32'(read_address[l*UW +: UW]);
            if (read_address[l*UW +: UW] < UW'(D) && used[r]) read_sum[l*32 +: 32] = sums[r];
        end
    end
endmodule
