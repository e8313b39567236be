internal import CLibbpf
internal import Glibc
internal import SystemPackage

/// The programs' clock: jiffies, counted in ticks of about a second.
package enum Clock {
    /// A tick is `1 << shift` jiffies: 1.024 s at 250 and at 1000 Hz, 1.28 s at 100, 0.85 s at 300.
    ///
    /// The resolution of the coarse clocks is one jiffy (clock_getres(2)); nothing else tells CONFIG_HZ without root.
    static func tickShift() throws(KernelError) -> UInt32 { shift(hertz: try hertz()) }

    private static func hertz() throws(KernelError) -> UInt32 {
        var resolution = timespec()
        // SAFETY: only `resolution` is written.
        guard unsafe clock_getres(CLOCK_MONOTONIC_COARSE, &resolution) == 0, resolution.tv_nsec > 0 else {
            throw KernelError("read", "the coarse clock's resolution", errno: Errno(rawValue: weir_last_errno()))
        }
        return UInt32(clamping: (1_000_000_000 + resolution.tv_nsec / 2) / resolution.tv_nsec)
    }

    /// The power of two nearest to the jiffies of a second.
    package static func shift(hertz: UInt32) -> UInt32 {
        let below = UInt32(31 - max(hertz, 1).leadingZeroBitCount)
        let lower = UInt32(1) << below
        return hertz - lower > 2 * lower - hertz ? below + 1 : below
    }

    /// The fewest ticks that take that long on this kernel.
    package static func ticks(_ duration: Duration) throws(KernelError) -> UInt32 {
        let jiffies = Double(1 << (try tickShift()))
        let seconds = Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
        return UInt32((seconds * Double(try hertz()) / jiffies).rounded(.up))
    }

    /// How long that many ticks take on this kernel.
    package static func duration(ticks: UInt32) throws(KernelError) -> Duration {
        .seconds(Double(ticks) * Double(1 << (try tickShift())) / Double(try hertz()))
    }

    /// What `program`, an object's `weir_read_tick`, says now.
    package static func now(_ program: borrowing Program) throws(KernelError) -> UInt32 {
        let frame = [UInt8](repeating: 0, count: 64)
        return UInt32(bitPattern: try program.testRun(frame: frame, interface: 1, ingress: .local).returnCode)
    }
}
