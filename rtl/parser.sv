// Finds the fields of the next entry of a sub-stream in the bits that wait (contract §3).
// One look at the first fields and one count of ones give the length.
module parser #(
    parameter L  = 8,    // most lanes of the slot
    parameter V  = 8,    // bits of a value
    parameter E  = 128,  // most bits of an entry
    parameter SELECT = 1, // k: inputs among which a lane may choose
    parameter SB = SELECT > 1 ? $clog2(SELECT) : 1,
    parameter XW = 10,   // bits of a position
    parameter UW = 8     // bits of a unit's number
) (
    input  logic [E-1:0]    bits,
    input  logic [15:0]     waiting,       // how many of them have been read
    input  logic            is_dense,
    input  logic [L-1:0]    dense_lanes,   // lanes of the next entry of a dense tile
    input  logic [1:0]      pattern,
    input  logic [4:0]      position_bits, // d
    input  logic [4:0]      unit_bits,     // t
    input  logic [4:0]      lanes,         // g
    input  logic            chooses,       // s = k: items have selects
    output logic            is_complete,   // all bits of the entry wait
    output logic [15:0]     length,
    output logic [XW-1:0]   difference,
    output logic [UW-1:0]   unit,
    output logic [L-1:0]    bitmap,
    output logic [L*SB-1:0] selects,
    output logic [L*V-1:0]  values
);
    logic           has_flag, is_full;
    localparam SELECT_BITS = $clog2(SELECT);
    logic [E-1:0]   from_position, from_unit, from_bitmap, from_items;
    logic [L-1:0]   all_lanes, found;
    logic [15:0]    header, total;
    logic [4:0]     ones;
    logic [15:0]    item_bits;
    logic [L*SB-1:0] selected;
    logic [L*V-1:0] expanded;

    always_comb begin
        found = '0; header = 16'd0; ones = 5'd0; expanded = '0; is_full = 1'b0; has_flag = 1'b0; selected = '0;
        all_lanes = '0; from_position = '0; from_unit = '0; from_bitmap = '0; from_items = '0;
        item_bits = chooses ? 16'(V + SELECT_BITS) : 16'(V);
        if (waiting != 0) begin
            if (is_dense) begin
                found      = dense_lanes;
                from_items = bits;
            end else begin
                has_flag      = pattern == 2'd2;
                is_full       = pattern == 2'd0 || (has_flag && bits[0]);
                all_lanes     = ~({L{1'b1}} << lanes);
                from_position = bits >> has_flag;
                from_unit     = from_position >> position_bits;
                from_bitmap   = from_unit >> unit_bits;
                found         = is_full ? all_lanes : from_bitmap[L-1:0] & all_lanes;
                from_items    = is_full ? from_bitmap : from_bitmap >> lanes;
                header        = 16'(has_flag) + 16'(position_bits) + 16'(unit_bits)
                              + (is_full ? 16'd0 : 16'(lanes));
            end
            // An item is the select and the value of a lane.
            for (int i = 0; i < L; i++)
                if (found[i]) begin
                    if (chooses && SELECT > 1) begin
                        selected[i*SB +: SB] = from_items[ones*(V+SELECT_BITS) +: SB];
                        expanded[i*V +: V] = from_items[ones*(V+SELECT_BITS)+SELECT_BITS +: V];
                    end else expanded[i*V +: V] = from_items[ones*V +: V];
                    ones = ones + 5'd1;
                end
        end
        total       = header + 16'(ones) * item_bits;
        difference  = from_position[XW-1:0] & ~({XW{1'b1}} << position_bits);
        unit        = from_unit[UW-1:0] & ~({UW{1'b1}} << unit_bits);
        bitmap      = found;
        selects     = selected;
        values      = expanded;
        length      = total;
        is_complete = waiting != 0 && waiting >= header && waiting >= total;
    end
endmodule
