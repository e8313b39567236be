internal import WeirABI
internal import WeirImage
internal import WeirKernel
internal import WeirMaps
internal import WeirNetlink

/// What is asked of the programs, and of the reader.
package struct MonitorRequest: Sendable {
    /// Drops, and what audit mode lets pass.
    package var wantsDrops = true
    /// Allows that policy was asked for: the first packet of a flow, not every one.
    package var wantsAllows = false
    /// Of every so many events a CPU makes one.
    package var oneIn: UInt32 = 1
    /// At most so many a CPU makes in a tick, which is about a second; nil: no limit.
    package var perTick: UInt32?
    package var filter = MonitorFilter()
    /// nil: until it is stopped.
    package var duration: Duration?
    /// Ends after so many events that the filter admits.
    package var count: Int?
    package var isUTC = false

    package init() {}
}

/// What a monitor has seen when it ended.
package struct MonitorSummary: Hashable, Sendable {
    package enum End: Hashable, Sendable {
        /// As many as were asked for, or as long.
        case complete
        /// The receiver wanted no more.
        case stopped
        case detached
    }

    package var end = End.stopped
    package var shown = 0
    /// Read, but not admitted by the filter.
    package var filtered = 0
    /// Not made, because of sampling or a limit, or lost, because the ring was full.
    package var leftOut: UInt64 = 0
    /// How long nobody read, because the receiver took too long: what happened then was not counted either.
    package var unwatched = Duration.zero
}

extension Loader {
    /// Reads events until the receiver wants no more, and names them. nil where nothing is loaded under the pin path.
    ///
    /// One reader at a time, because the ring gives an event to one only; it holds a lock of its own, so that apply is
    /// not held up. The programs make events only as long as it reads: its request runs out by itself in seconds.
    ///
    /// - Parameter receive: gets what came, often nothing, several times a second; false ends it.
    package func monitor(
        _ request: MonitorRequest, receive: ([MonitorEvent]) -> Bool
    ) throws(LoaderError) -> MonitorSummary? {
        try bordered {
            guard try Files.exists(layout.root) else { return nil }
            try requireSameNamespace(try .current())
            return try state.asOnlyReader {
                var reader = try MonitorReader.open(self, request)
                return try reader.run(receive)
            }
        }
    }
}

/// One run of `monitor`.
private struct MonitorReader: ~Copyable {
    private let loader: Loader
    private let request: MonitorRequest
    private let maps: PinnedMaps
    private let programs: Programs
    private let ring: EventRing
    private var timeline: PolicyTimeline
    private var interfaces: [UInt32: String] = [:]
    private var summary = MonitorSummary()
    /// Events left out since the last one that was shown.
    private var pendingLeftOut: UInt64 = 0
    /// The last tick that was asked for; 0 before the first.
    private var until: UInt32 = 0

    /// How far ahead events are asked for, in ticks of about a second, and how often that is renewed.
    private static let ticksAhead: UInt32 = 5
    private static let renewal = Duration.seconds(1)
    /// How long to wait for an event before looking at everything else.
    private static let patience: Int32 = 100

    static func open(_ loader: Loader, _ request: MonitorRequest) throws -> MonitorReader {
        let maps = try PinnedMaps(pinnedIn: loader.layout.root)
        let programs = try loader.pinnedPrograms()
        let time = EventClock.monotonic
        guard let version = try version(maps, programs) else {
            throw LoaderError.refused("no policy is in force", hint: "apply one first")
        }
        let timeline = PolicyTimeline(version, try names(loader, maps, version), at: time)
        return MonitorReader(loader, request, maps, programs, try EventRing(maps(.events)), timeline)
    }

    private init(
        _ loader: Loader, _ request: MonitorRequest, _ maps: PinnedMaps, _ programs: Programs,
        _ ring: consuming EventRing, _ timeline: PolicyTimeline
    ) {
        self.loader = loader
        self.request = request
        self.maps = maps
        self.programs = programs
        self.ring = ring
        self.timeline = timeline
    }

    mutating func run(_ receive: ([MonitorEvent]) -> Bool) throws -> MonitorSummary {
        try forgetTheLast()
        do {
            try read(receive)
            try ask(nothing: true)
            // What was made before is still shown.
            if summary.end != .complete || request.count == nil { _ = deliver(try ring.drain(), receive) }
            summary.leftOut += try suppressed()
            return summary
        } catch {
            try? ask(nothing: true)
            throw error
        }
    }

    /// What a killed reader has left, and what was not made for it.
    private func forgetTheLast() throws {
        try ask(nothing: true)
        while try !ring.drain().isEmpty {}
        let zeros = [UInt8](repeating: 0, count: MemoryLayout<weir_monitor_state>.size * (try possibleCPUCount()))
        do throws(MapError) { try maps.node[.monitor_state]?.update(UInt32(0).abiBytes, zeros, mode: .any) } catch {
            throw KernelError("clear", "monitor_state", error)
        }
    }

    private mutating func read(_ receive: ([MonitorEvent]) -> Bool) throws {
        let start = ContinuousClock.now
        var renewed = start
        try renew()
        while true {
            let records = try ring.wait(timeoutMilliseconds: Self.patience)
            // After the records were read: what was in force before is known already.
            guard try look() else {
                summary.end = .detached
                _ = deliver(records, receive)
                return
            }
            guard deliver(records, receive) else { return }
            let now = ContinuousClock.now
            if request.count.map({ summary.shown >= $0 }) ?? false
                || request.duration.map({ now - start >= $0 }) ?? false
            {
                summary.end = .complete
                return
            }
            if now - renewed >= Self.renewal {
                guard try stillPinned() else {
                    summary.end = .detached
                    return
                }
                try renew()
                renewed = now
            }
        }
    }

    // MARK: Asking

    private mutating func renew() throws {
        let tick = try programs.tick()
        if until > 0, tick > until { summary.unwatched += try Clock.duration(ticks: tick - until) }
        until = tick + Self.ticksAhead
        try ask(nothing: false)
        interfaces = Dictionary(try Netlink().interfaces().map { ($0.index, $0.name) }) { $1 }
    }

    private func ask(nothing: Bool) throws {
        var reader = weir_monitor()
        if !nothing {
            reader.until = until
            reader.kinds =
                (request.wantsDrops ? WEIR_EVENT_DROPS.rawValue : 0)
                | (request.wantsAllows ? WEIR_EVENT_ALLOWS.rawValue : 0)
            reader.one_in = request.oneIn
            reader.per_tick = request.perTick ?? 0
        }
        do throws(MapError) {
            try maps.node[.monitor]?.update(UInt32(0).abiBytes, reader.abiBytes, mode: .any)
        } catch { throw KernelError("write", "monitor", error) }
    }

    // MARK: Naming

    /// false where nothing is enforced any longer.
    private mutating func look() throws -> Bool {
        let from = EventClock.monotonic
        guard let version = try Self.version(maps, programs) else { return false }
        let until = EventClock.monotonic
        try timeline.found(version, { try Self.names(loader, maps, version) }, from: from, until: until)
        return true
    }

    /// Whether a detach, or an apply after it, has taken these maps from their place.
    private func stillPinned() throws -> Bool {
        let path = "\(loader.layout.maps)/\(NodeMap.control.rawValue)"
        return try KernelMap.pinned(at: path)?.id == maps(.control).id
    }

    private static func version(
        _ maps: PinnedMaps, _ programs: Programs
    ) throws -> PolicyTimeline.Version? {
        let control = try ControlState(reading: maps(.control))
        let word = control.deadline == nil ? control.value : control.inForce(at: try programs.tick())
        guard word.isCommitted else { return nil }
        return PolicyTimeline.Version(
            revision: word.revision, imageDigest: abiBytes(of: try maps.meta(slot: word.activeSlot).image_digest))
    }

    private static func names(
        _ loader: Loader, _ maps: PinnedMaps, _ version: PolicyTimeline.Version
    ) throws -> EventNames {
        let slot = ControlValue(word: version.revision).activeSlot
        return EventNames(
            image: try loader.state.image(digest: version.imageDigest),
            endpoints: try loader.read(try maps(.endpoints), slot))
    }

    // MARK: Delivering

    /// false where the receiver wants no more.
    private mutating func deliver(_ records: [weir_event], _ receive: ([MonitorEvent]) -> Bool) -> Bool {
        let clock = EventClock(isUTC: request.isUTC)
        var events: [MonitorEvent] = []
        for record in records {
            summary.leftOut += UInt64(record.suppressed)
            pendingLeftOut += UInt64(record.suppressed)
            if let count = request.count, summary.shown >= count { continue }
            var event = timeline.event(
                record, time: clock.text(UInt64(record.time_ns)), interface: interfaces[record.ifindex])
            guard request.filter.admits(event) else {
                summary.filtered += 1
                continue
            }
            event.leftOut = pendingLeftOut
            pendingLeftOut = 0
            summary.shown += 1
            events.append(event)
        }
        return receive(events)
    }

    /// What was left out after each CPU's last record.
    private func suppressed() throws -> UInt64 {
        let size = MemoryLayout<weir_monitor_state>.size
        let bytes: [UInt8]
        do throws(MapError) { bytes = try maps.node[.monitor_state]?.lookup(UInt32(0).abiBytes) ?? [] } catch {
            throw KernelError("read", "monitor_state", error)
        }
        return stride(from: 0, to: bytes.count, by: size).reduce(0) { sum, start in
            let state = weir_monitor_state(abiBytes: Array(bytes[start..<min(start + size, bytes.count)]))
            return sum + UInt64(state?.suppressed ?? 0)
        }
    }
}
