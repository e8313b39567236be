internal import Glibc

/// The time of day of an event: the kernel's records have the time since boot.
package struct EventClock: Sendable {
    /// What is added to the monotonic clock, in ns.
    private let offset: Int64
    private let isUTC: Bool

    /// - Parameters:
    ///   - monotonic: a time of the monotonic clock in ns, and `realtime` the same of the other.
    package init(monotonic: UInt64, realtime: UInt64, isUTC: Bool) {
        offset = Int64(realtime) - Int64(monotonic)
        self.isUTC = isUTC
    }

    /// As the clocks stand now. Whoever sets the time of day makes it wrong: ask again now and then.
    package init(isUTC: Bool) {
        self.init(monotonic: Self.now(CLOCK_MONOTONIC), realtime: Self.now(CLOCK_REALTIME), isUTC: isUTC)
    }

    /// In ns.
    package static var monotonic: UInt64 { now(CLOCK_MONOTONIC) }

    private static func now(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        // SAFETY: only `time` is written.
        unsafe _ = clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// RFC 3339 with milliseconds, in the machine's time zone or in UTC.
    package func text(_ monotonic: UInt64) -> String {
        let time = Int64(monotonic) + offset
        var seconds = time_t(time / 1_000_000_000)
        var parts = unsafe tm()
        // SAFETY: both are read and written during the call only; the zone's name is not looked at.
        if isUTC { unsafe _ = gmtime_r(&seconds, &parts) } else { unsafe _ = localtime_r(&seconds, &parts) }
        func two(_ number: Int32) -> String { (number < 10 ? "0" : "") + String(number) }
        let milliseconds = String(1000 + time / 1_000_000 % 1000).dropFirst()
        let minutes = Int32(unsafe parts.tm_gmtoff / 60)
        let zone = isUTC ? "Z" : "\(minutes < 0 ? "-" : "+")\(two(abs(minutes) / 60)):\(two(abs(minutes) % 60))"
        let date = unsafe "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))"
        return unsafe "\(date)T\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)).\(milliseconds)\(zone)"
    }
}
