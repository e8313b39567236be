internal import SystemPackage
internal import WeirABI
package import WeirFlow
package import WeirImage
internal import WeirMaps
package import WeirModel

/// Judges flows with the real programs of a private object: nothing is attached, nothing is pinned, and the maps
/// go with this value.
///
/// The programs run without conntrack, link control and overlay guard, so every query meets the policy alone. Each
/// packet of a test run claims to be on interface 1, the loopback, which exists in every namespace; which endpoint
/// that stands for is one element of `endpoints`. A class because `FlowJudge` is one.
package final class KernelJudge: FlowJudge {
    /// Builds the packet of a query: an Ethernet frame.
    package typealias FrameBuilder = (FlowQuery) throws -> [UInt8]

    /// The programs gave no policy verdict on a query.
    package struct NoVerdict: Error, Hashable, Sendable, CustomStringConvertible {
        package var description: String
    }

    private static let loopback: UInt32 = 1

    private let object: BPFObject
    private let fromEndpoint: Program
    private let toEndpoint: Program
    private let events: EventRing
    private let frame: FrameBuilder
    /// Of the image that is judged by.
    private var endpoints: KernelMap
    private var records: [UInt32: [UInt8]]
    private var bound: UInt32?

    package init(image: Image, object bytes: [UInt8], frame: @escaping FrameBuilder) throws(KernelError) {
        object = try BPFObject(bytes: bytes)
        try object.setOptions([])
        try object.load()
        fromEndpoint = try object.program(ProgramName.fromEndpoint)
        toEndpoint = try object.program(ProgramName.toEndpoint)
        events = try EventRing(try object.map(NodeMap.events.rawValue))
        self.frame = frame
        (endpoints, records) = try Self.place(image, in: object)
        var reader = weir_monitor()
        reader.until = .max
        reader.kinds = WEIR_EVENT_DROPS.rawValue | WEIR_EVENT_ALLOWS.rawValue
        let monitor = try object.map(NodeMap.monitor.rawValue)
        do throws(MapError) { try monitor.update(UInt32(0).abiBytes, reader.abiBytes, mode: .any) } catch {
            throw KernelError("write", "monitor", error)
        }
        let control = try ControlWord(try object.map(NodeMap.control.rawValue))
        control.store(ControlValue(word: UInt64(Self.slot) + UInt64(WEIR_SLOT_COUNT)))
    }

    /// Judges by another image from now on. The programs stay: loading them takes most of the time that a judge needs.
    package func show(_ image: Image) throws(KernelError) {
        (endpoints, records) = try Self.place(image, in: object)
        bound = nil
    }

    private static func place(
        _ image: Image, in object: borrowing BPFObject
    ) throws(KernelError) -> (endpoints: KernelMap, records: [UInt32: [UInt8]]) {
        let contents = try SlotContents(image: image, endpoints: [], extraRoom: false)
        let maps = try contents.create()
        guard let endpoints = maps[.endpoints] else {
            throw KernelError("create map", "'endpoints'", errno: .noSuchFileOrDirectory)
        }
        for (name, map) in maps {
            let outer = try object.map(name.rawValue)
            do throws(MapError) { try outer.place(map, at: slot) } catch {
                throw KernelError("place map", name.rawValue, error)
            }
        }
        let meta = contents.meta(image: image, nodeDigest: [UInt8](repeating: 0, count: 32), generation: 0)
        let slotMeta = try object.map(NodeMap.slot_meta.rawValue)
        do throws(MapError) { try slotMeta.update(UInt32(slot).abiBytes, meta.abiBytes, mode: .any) } catch {
            throw KernelError("write", "slot_meta", error)
        }
        return (endpoints, Dictionary(image.endpoints.map { ($0.id, $0.value) }) { first, _ in first })
    }

    private static let slot = 0

    package func judge(_ query: FlowQuery) throws -> Decision {
        try bind(query.endpoint)
        let packet = try frame(query)
        let ingress: Program.Ingress =
            query.direction == .ingress && query.path == .forwarded ? .interface(Self.loopback) : .local
        switch query.direction {
        case .egress: _ = try fromEndpoint.testRun(frame: packet, interface: Self.loopback, ingress: ingress)
        case .ingress: _ = try toEndpoint.testRun(frame: packet, interface: Self.loopback, ingress: ingress)
        }
        let reported = try events.drain()
        guard reported.count == 1, let event = reported.first else {
            throw NoVerdict(description: "the program reported \(reported.count) events for one packet")
        }
        guard case .decided(let decision) = Action(rawValue: event.action) else {
            throw NoVerdict(description: "the packet was dropped before policy was asked (reason \(event.reason))")
        }
        return decision
    }

    private func bind(_ endpoint: UInt32) throws {
        guard bound != endpoint else { return }
        guard let value = records[endpoint] else {
            throw NoVerdict(description: "the image has no endpoint with id \(endpoint)")
        }
        do throws(MapError) { try endpoints.update(Self.loopback.abiBytes, value, mode: .any) } catch {
            throw KernelError("bind", "endpoint \(endpoint)", error)
        }
        bound = endpoint
    }
}

/// The names of the object's programs.
package enum ProgramName {
    package static let fromEndpoint = "weir_from_endpoint"
    package static let toEndpoint = "weir_to_endpoint"
    /// The same for devices without a link-layer header.
    package static let fromEndpointL3 = "weir_from_endpoint_l3"
    package static let toEndpointL3 = "weir_to_endpoint_l3"
    /// Attached nowhere: the programs' clock.
    package static let readTick = "weir_read_tick"

    /// Drops everything; of an object of its own.
    package static let quarantine = "weir_quarantine"

    /// Those that judge packets.
    package static let judging = [fromEndpoint, fromEndpointL3, toEndpoint, toEndpointL3]

    /// The one for a direction, as endpoint or node sees it.
    package static func judging(_ direction: Direction, hasEthernet: Bool) -> String {
        switch direction {
        case .egress: hasEthernet ? fromEndpoint : fromEndpointL3
        case .ingress: hasEthernet ? toEndpoint : toEndpointL3
        }
    }
}
