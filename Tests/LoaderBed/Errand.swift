internal import Foundation
internal import TestNetwork
package import WeirKernel
package import WeirLoader
internal import WeirNetlink

/// What a test has another process do: one that is killed, or whose end must change nothing.
///
/// Not an exit test of Swift Testing: from the first of those on, a thread of the test process asks without a pause for
/// children that have ended, which takes one processor as long as any other test's child waits to be collected.
package enum Errand: Codable {
    case apply(Policy, on: LoaderFixture.Place, until: Moment)
    case impose(interface: UInt32, node: String, kind: AttachKind)

    package enum Policy: Codable, Sendable {
        case handmade(port: UInt16, pods: [Int])
        case cluster(Cluster)
    }

    /// SIGKILL ends the process there.
    package struct Moment: Codable, Sendable {
        var step: String
        var time: Int

        /// - Parameter time: the first report of the step is 1.
        package init(_ step: ApplyStep, time: Int = 1) {
            self.step = step.rawValue
            self.time = time
        }
    }

    /// Has it done.
    ///
    /// - Returns: how the other process ended: its status, or 128 and the signal's number.
    package func send() throws -> Int32 {
        let text = String(decoding: try JSONEncoder().encode(self), as: UTF8.self)
        let (status, output) = try attempt([
            "sh", "-c", "\"$@\"; exit $?", "sh", try builtExecutable("LoaderErrand"), text,
        ])
        guard status == 0 || status > 128 else { throw CommandFailure(description: output) }
        return status
    }

    /// Does it here.
    package static func run(_ text: String) throws {
        switch try JSONDecoder().decode(Errand.self, from: Data(text.utf8)) {
        case .apply(let policy, let place, let moment):
            var seen = 0
            func report(_ step: ApplyStep) {
                if step.rawValue == moment.step { seen += 1 }
                if seen == moment.time { raise(SIGKILL) }
            }
            switch policy {
            case .handmade(let port, let pods):
                _ = try place.apply(HandmadeImage.make(port: port, pods: pods), onStep: report)
            case .cluster(let cluster): _ = try place.apply(cluster, onStep: report)
            }
        case .impose(let interface, let node, let kind):
            try NetworkNamespace(path: "/run/netns/\(node)").run { try Quarantine.impose(on: interface, kind: kind) }
        }
    }
}
