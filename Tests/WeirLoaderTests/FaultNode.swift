import Foundation
import LoaderBed
import TestNetwork
import Testing
import WeirImage
import WeirLoader

/// A run that something happens to, and what it takes to begin it again.
struct FaultScenario: CustomTestStringConvertible, Codable {
    enum Kind: String, Codable { case firstApply, apply, upgrade, rollback, detach }

    var kind: Kind
    var mode: String

    var testDescription: String { "\(kind.rawValue), \(mode)" }

    static let all: [FaultScenario] = [
        .init(kind: .firstApply, mode: "tcx"), .init(kind: .firstApply, mode: "clsact"),
        .init(kind: .apply, mode: "tcx"), .init(kind: .apply, mode: "clsact"), .init(kind: .upgrade, mode: "tcx"),
        .init(kind: .upgrade, mode: "clsact"), .init(kind: .rollback, mode: "tcx"), .init(kind: .detach, mode: "tcx"),
        .init(kind: .detach, mode: "clsact"),
    ]

    /// clsact itself comes or goes.
    fileprivate var mayLosePackets: Bool { mode == "clsact" && kind != .upgrade }

    fileprivate var oldVerdict: PolicyProbe.Verdict {
        switch kind {
        case .firstApply: .both
        case .apply, .upgrade, .detach: .onlyFirst
        case .rollback: .onlySecond
        }
    }

    fileprivate var newVerdict: PolicyProbe.Verdict {
        switch kind {
        case .firstApply, .rollback: .onlyFirst
        case .apply, .upgrade: .onlySecond
        case .detach: .both
        }
    }
}

/// A node with traffic that never stops, for one scenario. Pod 3 accepts UDP from pod 2 on port 80 under one policy,
/// on port 81 under the other, on both under none.
final class FaultNode {
    static let first = HandmadeImage.make(port: 80, protocols: [17])
    static let second = HandmadeImage.make(port: 81, protocols: [17])
    /// Comes with an endpoint and goes without another.
    static let moved = HandmadeImage.make(port: 81, protocols: [17], pods: [3, 4])

    let scenario: FaultScenario
    let fixture: LoaderFixture
    private let probe: PolicyProbe
    private let bundle: String
    /// The calls of a run that nothing happens to, and the node after it.
    private(set) var calls: [TracedRun.Call] = []
    private var settled: NodeSnapshot

    init(_ scenario: FaultScenario) throws {
        self.scenario = scenario
        fixture = try LoaderFixture(AttachMode(rawValue: scenario.mode) ?? .automatic, pods: [2, 3, 4])
        bundle = "\(fixture.place.stateDirectory)-bundle"
        let pods = fixture.topology.pods
        probe = try PolicyProbe(from: pods[0], to: pods[1], address: "10.7.0.3", ports: [80, 81])
        settled = try NodeSnapshot(fixture)
        let image = scenario.kind == .firstApply ? Self.first : scenario.kind == .apply ? Self.moved : Self.second
        try image.bundled.write(to: URL(fileURLWithPath: bundle))
        try prepare()
        let run = try TracedRun.listing(arguments, on: fixture.place)
        calls = run.calls
        guard run.status == 0, !calls.isEmpty else { throw CommandFailure(description: "\(scenario): \(run.errors)") }
        settled = try NodeSnapshot(fixture)
    }

    deinit {
        probe.stop()
        try? FileManager.default.removeItem(atPath: bundle)
    }

    private var arguments: [String] {
        switch scenario.kind {
        case .firstApply, .apply, .upgrade: ["apply", "--bundle", bundle, "--attach", scenario.mode]
        case .rollback: ["rollback"]
        case .detach: ["detach"]
        }
    }

    /// The node as it is before the run.
    private func prepare() throws {
        let place = fixture.place
        switch scenario.kind {
        case .firstApply: try place.detach()
        case .apply, .detach: _ = try place.apply(Self.first)
        case .upgrade:
            _ = try place.onNode { try place.loader { $0.programs.insert(.dhcp) }.apply(Self.first) }
        case .rollback:
            _ = try place.apply(Self.first)
            _ = try place.apply(Self.second)
        }
    }

    /// What the run was to do, by a run that nothing happens to.
    private func complete() throws {
        let place = fixture.place
        switch scenario.kind {
        case .firstApply: _ = try place.apply(Self.first)
        case .apply: _ = try place.apply(Self.moved)
        case .upgrade: _ = try place.apply(Self.second)
        case .rollback: _ = try place.onNode { try place.loader().rollback() }
        case .detach: try place.detach()
        }
    }

    /// Runs with the fault and says what is not as promised, in sentences.
    func problems(of fault: TracedRun.Fault, at call: TracedRun.Call) throws -> [String] {
        try prepare()
        let before = try NodeSnapshot(fixture)
        let start = probe.position
        let run = try TracedRun.faulty(arguments, fault, at: call, on: fixture.place)
        var problems: [String] = []
        let after = try NodeSnapshot(fixture)
        let isNew = after.policy == settled.policy
        if !isNew, after.policy != before.policy { problems.append("the policy is neither the old nor the new one") }
        let middle = probe.next()
        probe.contradiction(
            from: start, to: middle, old: scenario.oldVerdict,
            new: isNew ? scenario.newVerdict : scenario.oldVerdict, lossIsPossible: scenario.mayLosePackets
        ).map { problems.append($0) }
        switch fault {
        case .error: problems += complaints(about: run, isNew: isNew, before, after)
        case .kill:
            if run.status != 137, !(run.status == 0 && isNew) { problems.append("ended with \(run.status)") }
        }
        if !isNew || run.status != 0 {
            // A detach that was ended half-way is completed by either.
            if scenario.kind == .detach, fault == .kill, call.ordinal % 2 == 0 {
                _ = try fixture.place.apply(Self.first)
                if try NodeSnapshot(fixture).settled != before.settled { problems.append("apply: not as before") }
            }
            if !isNew || scenario.kind != .rollback { try complete() }
        }
        probe.contradiction(
            from: scenario.kind == .detach ? probe.next() : middle, to: probe.next(),
            old: isNew ? scenario.newVerdict : scenario.oldVerdict, new: scenario.newVerdict,
            lossIsPossible: scenario.mayLosePackets
        ).map { problems.append("afterwards: \($0)") }
        let end = try NodeSnapshot(fixture).settled
        if end != settled.settled { problems.append("in the end: \(end), not \(settled.settled)") }
        return problems.map { "\(call.name) \(call.ordinal) \(fault): \($0)\n    \(call.text)" }
    }

    /// The contract of a run that a call's failure ended, or did not.
    private func complaints(
        about run: TracedRun, isNew: Bool, _ before: NodeSnapshot, _ after: NodeSnapshot
    ) -> [String] {
        var problems: [String] = []
        let lines = run.errors.split(separator: "\n")
        switch run.status {
        case 0:
            if !isNew { problems.append("status 0, and the policy is the old one") }
            if after.settled != settled.settled { problems.append("status 0: \(after.settled)") }
            if !lines.isEmpty { problems.append("status 0, and says \(run.errors)") }
        case 3:
            if lines.filter({ $0.hasPrefix("weir: error: ") }).count != 1 || lines.count > 2 {
                problems.append("is not one error: \(run.errors)")
            }
            let saysNew = ["is in force, but cannot", "nothing is enforced any more, but cannot", "standard output"]
            if isNew != saysNew.contains(where: run.errors.contains) {
                problems.append("\(isNew ? "the new" : "the old") policy is in force, and says \(run.errors)")
            }
            if !run.errors.contains("cannot ") { problems.append("names no operation: \(run.errors)") }
            if !isNew, after != before { problems.append("\(run.errors) leaves \(after), not \(before)") }
        default: problems.append("ended with \(run.status): \(run.errors.prefix(300))")
        }
        return problems
    }
}

/// What there is of one weir on its node, apart from counters and revisions.
struct NodeSnapshot: Equatable, CustomStringConvertible {
    /// The digest of the image in force; empty where nothing is.
    var policy: String
    /// The digest and state of the slot that no packet looks at.
    var otherSlot: String
    /// `veth-2/egress tcx 17`, with the program's id.
    var hooks: [String]
    var pins: [String]
    var qdiscs: [String]
    /// Files that no slot and nothing else needs.
    var strayFiles: [String]

    init(_ fixture: LoaderFixture) throws {
        let place = fixture.place
        let files = FileManager.default
        let status = try place.status()
        let active = status?.activeSlot
        policy = status?.slots.first { $0.isActive }?.imageDigest ?? ""
        otherSlot =
            status?.slots.filter { $0.index != active }.map { "\($0.state) \($0.imageDigest)" }.joined() ?? ""
        let programs = (status?.endpoints ?? []).flatMap { endpoint in
            endpoint.hooks.map { "\(endpoint.interface ?? "?")/\($0.direction) \($0.kind) \($0.programID)" }
        }
        hooks = try programs.sorted() + fixture.attached()
        pins = [place.pinPath, place.pinPath + "-new"].flatMap { path -> [String] in
            guard files.fileExists(atPath: path) else { return [] }
            return [path] + (files.subpaths(atPath: path) ?? []).map { "\(path)/\($0)" }
        }.sorted()
        qdiscs = try run("ip", "netns", "exec", place.node, "tc", "qdisc", "show").split(separator: "\n")
            .map(String.init).filter { $0.contains("clsact") }
        var needed: Set<String> = ["lock"]
        if let status {
            needed.insert("state.json")
            for slot in status.slots { needed.insert("image-\(slot.imageDigest)") }
        }
        needed.insert("last-good.json")
        // As many as policies are kept; whose they are is said by their contents.
        let lastGood = try? String(contentsOfFile: place.stateDirectory + "/last-good.json", encoding: .utf8)
        for part in (lastGood ?? "").split(separator: "\"") where part.count == 64 { needed.insert("bundle-\(part)") }
        strayFiles = (files.subpaths(atPath: place.stateDirectory) ?? []).filter { !needed.contains($0) }.sorted()
    }

    /// What does not depend on how often a run was begun.
    var settled: NodeSnapshot {
        var settled = self
        settled.otherSlot = ""
        settled.hooks = hooks.map { $0.split(separator: " ").prefix(2).joined(separator: " ") }
        return settled
    }

    var description: String {
        "policy \(policy.prefix(8)), other slot \(otherSlot.prefix(16)), hooks \(hooks), \(pins.count) pins "
            + "\(pins.filter { $0.contains("-new") || $0.contains("links") }), qdiscs \(qdiscs), files \(strayFiles)"
    }
}
