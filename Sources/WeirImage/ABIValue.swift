package import WeirABI

/// A layout of `bpf/abi/weir_abi.h`. Its bytes in memory are its bytes in the map: the header
/// asserts that there is no padding.
package protocol ABIValue {
    /// All zero.
    init()
}

extension weir_control: ABIValue {}
extension weir_endpoint: ABIValue {}
extension weir_actions: ABIValue {}
extension weir_peer: ABIValue {}
extension weir_cidr4: ABIValue {}
extension weir_cidr6: ABIValue {}
extension weir_verdict_key: ABIValue {}
extension weir_flow4: ABIValue {}
extension weir_flow6: ABIValue {}
extension weir_conntrack: ABIValue {}
extension weir_counter: ABIValue {}
extension weir_slot_meta: ABIValue {}
extension weir_event: ABIValue {}
extension weir_fragment: ABIValue {}
extension weir_fragment_key: ABIValue {}
extension weir_monitor: ABIValue {}
extension weir_monitor_state: ABIValue {}
extension UInt32: ABIValue {}
extension UInt64: ABIValue {}

extension ABIValue {
    /// The value as the kernel sees it.
    package var abiBytes: [UInt8] {
        // SAFETY: the closure only copies the value's own bytes.
        unsafe withUnsafeBytes(of: self) { unsafe Array($0) }
    }

    /// nil where the size differs.
    package init?(abiBytes bytes: [UInt8]) {
        guard bytes.count == MemoryLayout<Self>.size else { return nil }
        var value = Self()
        // SAFETY: exactly the value's own bytes are overwritten; every conforming type is plain C data.
        unsafe withUnsafeMutableBytes(of: &value) { unsafe $0.copyBytes(from: bytes) }
        self = value
    }
}

/// Copies bytes into a C array field (a tuple in Swift). The sizes must agree.
package func setABIBytes<Field>(_ field: inout Field, _ bytes: [UInt8]) {
    precondition(bytes.count == MemoryLayout<Field>.size)
    // SAFETY: exactly the field's own bytes are overwritten.
    unsafe withUnsafeMutableBytes(of: &field) { unsafe $0.copyBytes(from: bytes) }
}

/// The bytes of a C array field.
package func abiBytes<Field>(of field: Field) -> [UInt8] {
    // SAFETY: the closure only copies the field's own bytes.
    unsafe withUnsafeBytes(of: field) { unsafe Array($0) }
}

extension weir_counter {
    /// The sum of one CPU's counter after the other.
    package init(perCPU bytes: [UInt8]) {
        self.init()
        let size = MemoryLayout<weir_counter>.size
        for start in stride(from: 0, to: bytes.count, by: size) {
            guard let part = weir_counter(abiBytes: Array(bytes[start..<min(start + size, bytes.count)])) else {
                continue
            }
            packets &+= part.packets
            self.bytes &+= part.bytes
        }
    }
}
