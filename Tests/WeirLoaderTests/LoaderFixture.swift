import Foundation
import TestNetwork
import WeirImage
import WeirKernel
import WeirLoader
import WeirModel
import WeirNetlink

/// A loader with pins, state and network of its own. What it leaves behind is removed with it.
final class LoaderFixture {
    let topology: Topology
    let place: Place

    /// Enough to make the same loader in another process.
    struct Place: Codable, Sendable {
        var node: String
        var attachMode: String

        var pinPath: String { "/sys/fs/bpf/\(node)" }
        var stateDirectory: String { "/tmp/\(node)" }

        func loader(
            _ adjust: (inout Loader.Options) -> Void = { _ in }, object: [UInt8] = EmbeddedObject.bytes
        ) -> Loader {
            var options = Loader.Options()
            options.pinPath = pinPath
            options.stateDirectory = stateDirectory
            options.attachMode = AttachMode(rawValue: attachMode) ?? .automatic
            options.lockTimeout = .seconds(2)
            adjust(&options)
            return Loader(options: options, object: object)
        }

        func onNode<Value>(_ body: () throws -> Value) throws -> Value {
            try NetworkNamespace(path: "/run/netns/\(node)").run(body)
        }

        func apply(
            _ image: Image, onStep: (ApplyStep) throws -> Void = { _ in }
        ) throws -> Loader.Outcome {
            let order = ApplyOrder(image: image, bundle: RestorableBundle(bytes: Array(image.bundled)))
            return try onNode { try loader().session { try $0.apply(order, onStep: onStep) } }
        }

        func status() throws -> NodeStatus? { try onNode { try loader().status() } }

        @discardableResult
        func detach() throws -> Loader.DetachOutcome { try onNode { try loader().detach() } }
    }

    init(_ mode: AttachMode = .automatic, pods: [Int] = [2, 3]) throws {
        try mountBPFFileSystem()
        topology = try Topology(pods: pods)
        place = Place(node: topology.node, attachMode: mode.rawValue)
    }

    deinit {
        _ = try? place.detach()
        for path in [place.pinPath, place.pinPath + "-new", place.stateDirectory] {
            _ = try? attempt(["rm", "-rf", path])
        }
    }

    /// Everything a set of weir can leave on the node, as text: nothing when it never was there.
    func traces() throws -> [String] {
        var traces: [String] = []
        for path in [place.pinPath, place.pinPath + "-new"] where FileManager.default.fileExists(atPath: path) {
            traces.append(path)
        }
        for name in (try? FileManager.default.contentsOfDirectory(atPath: place.stateDirectory)) ?? []
        where name != "lock" && !(name == "last-good.json" && isOpened) {
            traces.append("\(place.stateDirectory)/\(name)")
        }
        traces += try run("ip", "netns", "exec", topology.node, "tc", "qdisc", "show").split(separator: "\n")
            .map(String.init).filter { $0.contains("clsact") }
        return traces + (try attached())
    }

    /// Whether a detach has left word that the node is open on purpose.
    private var isOpened: Bool {
        let path = place.stateDirectory + "/last-good.json"
        return (try? String(contentsOfFile: path, encoding: .utf8))?.contains("\"isOpened\" : true") == true
    }

    /// The interfaces with any BPF program of anybody, `veth-2/ingress`, sorted.
    func attached() throws -> [String] {
        try topology.onNode {
            var attached: [String] = []
            for interface in try Netlink().interfaces() {
                for direction in Direction.allCases {
                    let chain = try TCXLink.chain(interface: interface.index, direction: direction)
                    let filter = try ClassicFilter.attachedProgram(interface: interface.index, direction: direction)
                    if !chain.isEmpty || filter != nil { attached.append("\(interface.name)/\(direction)") }
                }
            }
            return attached.sorted()
        }
    }

    /// How many links are pinned.
    func linkCount() throws -> Int {
        ((try? FileManager.default.contentsOfDirectory(atPath: place.pinPath + "/links")) ?? []).count
    }
}
