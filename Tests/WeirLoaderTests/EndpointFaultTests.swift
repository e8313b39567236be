import Foundation
import LoaderBed
import TestNetwork
import Testing
import WeirLoader
import WeirTestSupport

/// An endpoint that comes or goes while its neighbour sends without a pause. Pod 3 is shop/db, which accepts UDP from
/// pod 2 on port 80 and on no other; while nobody knows it, everything passes.
final class EndpointFaultNode {
    enum Kind: String, Codable, CaseIterable { case add, remove }

    let kind: Kind
    let fixture: LoaderFixture
    private let probe: PolicyProbe
    private let policies: String
    private let inventory: String
    /// The calls of a run that nothing happens to.
    private(set) var calls: [TracedRun.Call] = []

    init(_ kind: Kind, _ mode: AttachMode) throws {
        self.kind = kind
        fixture = try LoaderFixture(mode, pods: [2, 3])
        policies = "\(fixture.place.stateDirectory)-policies.yaml"
        inventory = "\(fixture.place.stateDirectory)-inventory.yaml"
        let pods = fixture.topology.pods
        probe = try PolicyProbe(from: pods[0], to: pods[1], address: "10.7.0.3", ports: [80, 81])
        try """
        apiVersion: cilium.io/v2
        kind: CiliumNetworkPolicy
        metadata: {name: db, namespace: shop}
        spec:
          endpointSelector: {matchLabels: {app: db}}
          ingress: [{fromCIDR: [10.7.0.2/32], toPorts: [{ports: [{port: "80", protocol: UDP}]}]}]
        """.write(toFile: policies, atomically: true, encoding: .utf8)
        try """
        apiVersion: weir.dev/v1
        kind: Node
        metadata: {name: node-a}
        spec: {addresses: [192.0.2.10]}
        """.write(toFile: inventory, atomically: true, encoding: .utf8)
        try prepare()
        let run = try TracedRun.listing(arguments, on: fixture.place)
        calls = run.calls
        guard run.status == 0, !calls.isEmpty else { throw CommandFailure(description: "\(kind): \(run.errors)") }
    }

    deinit {
        probe.stop()
        _ = try? weir(["detach", "--all"])
        for path in [policies, inventory] { try? FileManager.default.removeItem(atPath: path) }
    }

    private var adding: [String] {
        [
            "endpoint", "add", "shop/db", "--netns", fixture.topology.pods[1], "--address", "10.7.0.3", "--label",
            "app=db",
        ]
    }
    private static let removing = ["endpoint", "remove", "shop/db"]
    private var arguments: [String] { kind == .add ? adding : Self.removing }
    private var applying: [String] {
        ["apply", "--policies", policies, "--inventory", inventory, "--node", "node-a", "--attach", mode]
    }
    private var mode: String { fixture.place.attachMode }

    @discardableResult
    private func weir(_ arguments: [String]) throws -> (status: Int32, output: String) {
        let place = fixture.place
        return try attempt(
            ["nsenter", "--net=/run/netns/\(place.node)", try builtExecutable()] + arguments
                + ["--pin-path", place.pinPath, "--state-dir", place.stateDirectory])
    }

    private func must(_ arguments: [String]) throws {
        let (status, output) = try weir(arguments)
        guard status == 0 else { throw CommandFailure(description: "\(arguments.prefix(2)): \(output)") }
    }

    private func prepare() throws {
        try must(["detach", "--all"])
        try must(applying)
        if kind == .remove { try must(adding) }
    }

    /// Runs with the fault and says what is not as promised, in sentences.
    func problems(of fault: TracedRun.Fault, at call: TracedRun.Call) throws -> [String] {
        try prepare()
        let before = try remains()
        let start = probe.next()
        let run = try TracedRun.faulty(arguments, fault, at: call, on: fixture.place)
        var problems: [String] = []
        let middle = probe.next()
        if case .error = fault, run.status == 3, kind == .add {
            // Taken back, or in force.
            let after = try remains()
            let isInForce = run.errors.contains("is in force, but")
            if !isInForce, after != before { problems.append("\(run.errors) leaves \(after)") }
            if !run.errors.hasPrefix("weir: error: ") { problems.append("says \(run.errors)") }
        } else if case .error = fault, ![0, 3].contains(run.status) {
            problems.append("ended with \(run.status): \(run.errors.prefix(200))")
        }
        let isDenied = probe.verdicts(from: start, to: middle).contains { $0.contains { !$0.second } }
        // Whoever comes next completes it, or begins again.
        switch call.ordinal % 3 {
        case 0: break
        case 1: try must(applying)
        default: _ = try weir(Self.removing)
        }
        try must(adding)
        let end = probe.next()
        if fault == .kill || kind == .remove { problems += leaks(from: start, to: isDenied ? end : middle) }
        let last = probe.verdicts(from: end, to: probe.next()).compactMap(\.last)
        if last.contains(where: { $0 != .onlyFirst }) { problems.append("in the end \(last) passes") }
        let added = try remains()
        if added != Remains(text: "1 endpoints, 1 registrations, 0 denied, 2 hooks, strays []") {
            problems.append("added: \(added)")
        }
        try must(Self.removing)
        let gone = probe.verdicts(from: probe.next(), to: probe.next()).flatMap(\.self)
        if gone.contains(where: { $0.first || $0.second }) { problems.append("removed, and \(gone) passes") }
        try must(Self.removing + ["--open"])
        let removed = try remains()
        if removed != Remains(text: "0 endpoints, 0 registrations, 0 denied, 0 hooks, strays []") {
            problems.append("removed: \(removed)")
        }
        return problems.map { "\(call.name) \(call.ordinal) \(fault): \($0)\n    \(call.text)" }
    }

    /// From the first pair of which something was held back, port 81 stays shut.
    private func leaks(from start: UInt32, to end: UInt32) -> [String] {
        probe.verdicts(from: start, to: end).compactMap { strip in
            let rest = strip.drop { $0 == .both }
            guard let leak = rest.firstIndex(where: \.second) else { return nil }
            return "pair \(leak) of \(strip.count) passes, and was held back from \(rest.startIndex) on"
        }
    }

    /// What there is of the endpoint.
    struct Remains: Equatable, CustomStringConvertible {
        var text: String
        var problems: [String] = []
        var description: String { "\(text) \(problems)" }
    }

    private func remains() throws -> Remains {
        let place = fixture.place
        let files = FileManager.default
        let status = try place.status()
        let registrations = (try? files.contentsOfDirectory(atPath: place.stateDirectory + "/registrations")) ?? []
        let links = (try? files.contentsOfDirectory(atPath: place.pinPath + "/links")) ?? []
        let names = (try? files.contentsOfDirectory(atPath: place.stateDirectory)) ?? []
        var strays = (names + registrations).filter { $0.hasSuffix(".tmp") }
        let attached = try fixture.attached()
        if links.count > attached.count { strays += links }
        let denied = files.fileExists(atPath: place.stateDirectory + "/denied.json") ? 1 : 0
        return Remains(
            text: "\(status?.endpoints.count ?? -1) endpoints, \(registrations.count) registrations, \(denied) denied, "
                + "\(attached.count) hooks, strays \(strays.sorted())", problems: status?.problems ?? [])
    }
}

@Suite("An endpoint that comes or goes, whose run fails or is killed", .serialized, .enabled(if: kernelTestsAreWanted))
struct EndpointFaultTests {
    @Test(
        "kill -9 at one call: once it is denied nothing forbidden passes, and the next run completes it",
        arguments: EndpointFaultNode.Kind.allCases, [AttachMode.tcx, .clsact])
    func killed(kind: EndpointFaultNode.Kind, mode: AttachMode) throws {
        let node = try EndpointFaultNode(kind, mode)
        try check(node, node.calls.map { ($0, .kill) })
    }

    @Test("one call fails: it is taken back or in force", arguments: EndpointFaultNode.Kind.allCases, [AttachMode.tcx])
    func failing(kind: EndpointFaultNode.Kind, mode: AttachMode) throws {
        let node = try EndpointFaultNode(kind, mode)
        try check(node, node.calls.flatMap { call in ["ENOMEM", "EPERM"].map { (call, TracedRun.Fault.error($0)) } })
    }

    private func check(_ node: EndpointFaultNode, _ faults: [FaultSample.Fault]) throws {
        try FaultSample.check(faults, seed: 20_261_122) { try node.problems(of: $1, at: $0) }
    }
}
