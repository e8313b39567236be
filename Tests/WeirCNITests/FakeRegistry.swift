import WeirCNI
import WeirModel

/// A registry in memory that fails at the call it is told to.
final class FakeRegistry: EndpointRegistry {
    struct Fault: Error, CustomStringConvertible { var description: String }

    /// When a call that fails has its effect.
    enum FaultKind: CaseIterable { case before, after }

    private(set) var known: [Registration] = []
    private(set) var calls: [String] = []
    /// Index of the call that fails; nil: none.
    var faultAt: Int?
    var faultKind = FaultKind.before
    var admission = Admission.published
    var notReady: String?
    /// Registered, and not in force.
    var broken: Set<Registration.Key> = []

    private func call<Result>(_ name: String, _ body: () -> Result) throws -> Result {
        defer { calls.append(name) }
        guard faultAt == calls.count else { return body() }
        if faultKind == .after { _ = body() }
        throw Fault(description: "\(name) failed")
    }

    func register(_ registration: Registration) throws -> Admission {
        try call("register") {
            known.removeAll { $0.key == registration.key }
            known.append(registration)
            broken.remove(registration.key)
            return admission
        }
    }

    func unregister(_ keys: [Registration.Key]) throws {
        try call("unregister") { known.removeAll { keys.contains($0.key) } }
    }

    func registrations() throws -> [Registration] { try call("registrations") { known } }

    func check(_ registration: Registration) throws {
        let isBroken = try call("check") { broken.contains(registration.key) || !known.contains(registration) }
        if isBroken { throw Fault(description: "the program at its egress hook is missing") }
    }

    func readiness() throws -> String? { try call("readiness") { notReady } }
}

/// A machine on which every container's interface has a host side, unless it is said otherwise.
final class FakeSurroundings: Surroundings {
    var side: Result<HostSide, CNIError> = .success(HostSide(name: "veth1", index: 7))
    var described: Result<EndpointDescription?, CNIError> = .success(nil)
    private(set) var asked: [String] = []

    func hostSide(of interface: String, inNamespaceAt path: String) throws -> HostSide {
        asked.append("\(interface) in \(path)")
        return try side.get()
    }

    func description(of pod: Request.Pod, inDocumentsAt paths: [String]) throws -> EndpointDescription? {
        asked.append("\(pod.namespace)/\(pod.name) in \(paths.joined(separator: " "))")
        return try described.get()
    }
}
