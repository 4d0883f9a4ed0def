// One PE: G lanes in groups, an adder tree for row mode, LATENCY stages and two accumulator banks
// (contract §2, §5). In column mode unit k of a slot has word k of each of its lanes; in row mode
// it has word ⌊k/g⌋ of lane k mod g. INT8 operands, 32-bit sums that wrap.
module pe #(
    parameter M  = 8,
    parameter G  = 8,
    parameter V  = 8,
    parameter A  = 32,        // words of a bank
    parameter LATENCY = 4,        // at least 1
    parameter SELECT = 1,         // k: inputs among which a lane may choose
    parameter SB = SELECT > 1 ? $clog2(SELECT) : 1,
    parameter R  = G > SELECT ? G : SELECT,
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
    input  logic [M*R*V-1:0]  activations,  // by slot: row mode: one for each lane; column mode: the position
    input  logic [M*G*SB-1:0] selects,      // column mode: which of them the lane takes
    input  logic              empty,        // forget the sums of `read_bank`
    input  logic              read_bank,
    input  logic [G*UW-1:0]   read_address,
    output logic [G*32-1:0]   read_sum
);
    localparam UX = UW + 1;
    localparam D  = (A + G - 1) / G;        // words of a lane in a bank
    localparam SW = G + G * UW + 1 + G * 32;
    localparam PW = LATENCY * SW;

    // Products, and in row mode their sums over the lanes of each slot.
    logic [G-1:0]    write, writing;
    logic [G*UW-1:0] address, addressed;
    logic [G*32-1:0] level, addend, added;
    logic [V-1:0]    operand;
    logic signed [2*V-1:0] product;
    always_comb begin
        product = '0; operand = '0;
        level = '0; writing = '0; addressed = '0; added = '0;
        if (live != '0) begin
            // Lane l is lane l mod g of slot l / g; g is one of a few powers of two.
            for (int k = 0; k <= $clog2(G); k++)
                if (lanes_log == 3'(k))
                    for (int l = 0; l < G; l++)
                        if ((l >> k) < M && enable[((l>>k)%M)*G + l%(1<<k)]) begin
                            operand = is_row ? activations[(((l>>k)%M)*R + l%(1<<k))*V +: V]
                                    : activations[(((l>>k)%M)*R + 32'(selects[(((l>>k)%M)*G + l%(1<<k))*SB +: SB]))*V +: V];
                            product = $signed(weights[(((l>>k)%M)*G + l%(1<<k))*V +: V]) * $signed(operand);
                            level[l*32 +: 32] = 32'(product);
                            writing[l] = !is_row;
                            addressed[l*UW +: UW] = unit[((l>>k)%M)*UW +: UW];
                        end
            if (is_row) begin
                for (int k = 0; k < $clog2(G); k++)
                    for (int l = 0; l < G; l++)
                        if (3'(k) < lanes_log && l % (2 << k) == 0)
                            level[l*32 +: 32] = level[l*32 +: 32] + level[(l+(1<<k))*32 +: 32];
                for (int k = 0; k <= $clog2(G); k++)
                    if (lanes_log == 3'(k))
                        for (int l = 0; l < G; l++)
                            if ((l >> k) < M && live[(l>>k)%M] && unit[((l>>k)%M)*UW +: UW] % (1 << k) == l % (1 << k)) begin
                                writing[l] = 1'b1;
                                addressed[l*UW +: UW] = unit[((l>>k)%M)*UW +: UW] >> k;
                                added[l*32 +: 32] = level[((l>>k)<<k)*32 +: 32];
                            end
            end else added = level;
        end
        write = writing;
        address = addressed;
        addend = added;
    end

    // Stages.
    logic [LATENCY*SW-1:0] stages;
    logic [SW-1:0]         last;
    always_ff @(posedge clk)
        if (reset) stages <= '0;
        else stages <= PW'({stages, addend, bank, address, write});
    assign last = stages[(LATENCY-1)*SW +: SW];

    // Accumulators: a memory of two banks for each lane.
    generate
        for (genvar l = 0; l < G; l++) begin : lanes
            logic [31:0]    sums [0:2*D-1];
            logic [2*D-1:0] used;
            logic [UW:0]    at, from;
            assign at = UX'(last[G+l*UW +: UW]) + (last[G+G*UW] ? UX'(D) : UX'(0));
            assign from = UX'(read_address[l*UW +: UW]) + (read_bank ? UX'(D) : UX'(0));
            assign read_sum[l*32 +: 32] = used[from] ? sums[from] : 32'd0;
            always_ff @(posedge clk)
                if (reset) used <= '0;
                else begin
                    if (empty) used[(read_bank ? D : 0) +: D] <= '0;
                    if (last[l]) begin
                        sums[at] <= (used[at] ? sums[at] : 32'd0) + last[G+G*UW+1+l*32 +: 32];
                        used[at] <= 1'b1;
                    end
                end
        end
    endgenerate
endmodule
