internal import CLibbpf
internal import Glibc
internal import SystemPackage

/// The programs' clock: jiffies, counted in ticks of about a second.
package enum Clock {
    /// A tick is `1 << shift` jiffies: 1.024 s at 250 and at 1000 Hz, 1.28 s at 100, 0.85 s at 300.
    ///
    /// The resolution of the coarse clocks is one jiffy (clock_getres(2)); nothing else tells CONFIG_HZ without root.
    static func tickShift() throws(KernelError) -> UInt32 {
        var resolution = timespec()
        // SAFETY: only `resolution` is written.
        guard unsafe clock_getres(CLOCK_MONOTONIC_COARSE, &resolution) == 0, resolution.tv_nsec > 0 else {
            throw KernelError("read", "the coarse clock's resolution", errno: Errno(rawValue: weir_last_errno()))
        }
        let hertz = (1_000_000_000 + resolution.tv_nsec / 2) / resolution.tv_nsec
        return shift(hertz: UInt32(clamping: hertz))
    }

    /// The power of two nearest to the jiffies of a second.
    package static func shift(hertz: UInt32) -> UInt32 {
        let below = UInt32(31 - max(hertz, 1).leadingZeroBitCount)
        let lower = UInt32(1) << below
        return hertz - lower > 2 * lower - hertz ? below + 1 : below
    }

    /// What `program`, an object's `weir_read_tick`, says now.
    package static func now(_ program: borrowing Program) throws(KernelError) -> UInt32 {
        let frame = [UInt8](repeating: 0, count: 64)
        return UInt32(bitPattern: try program.testRun(frame: frame, interface: 1, ingress: .local).returnCode)
    }
}
