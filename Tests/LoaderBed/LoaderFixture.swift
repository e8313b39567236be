package import Foundation
package import TestNetwork
internal import WeirABI
internal import WeirBundle
package import WeirImage
internal import WeirKernel
package import WeirLoader
internal import WeirModel
internal import WeirNetlink

extension Image {
    /// As the file that `weir apply --bundle` takes.
    package var bundled: Data {
        Data(
            NodeBundle(
                image: self, provenance: Provenance(weir: "test", abi: UInt32(WEIR_ABI_VERSION), node: node)
            ).sealed().bytes)
    }
}

/// A loader with pins, state and network of its own. What it leaves behind is removed with it.
package final class LoaderFixture {
    package let topology: Topology
    package let place: Place

    /// Enough to make the same loader in another process.
    package struct Place: Codable, Sendable {
        package var node: String
        package var attachMode: String

        package var pinPath: String { "/sys/fs/bpf/\(node)" }
        package var stateDirectory: String { "/tmp/\(node)" }

        package func loader(
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

        package func onNode<Value>(_ body: () throws -> Value) throws -> Value {
            try NetworkNamespace(path: "/run/netns/\(node)").run(body)
        }

        package func apply(
            _ image: Image, onStep: (ApplyStep) throws -> Void = { _ in }
        ) throws -> Loader.Outcome {
            let order = ApplyOrder(image: image, bundle: RestorableBundle(bytes: Array(image.bundled)))
            return try onNode { try loader().session { try $0.apply(order, onStep: onStep) } }
        }

        package func status() throws -> NodeStatus? { try onNode { try loader().status() } }

        @discardableResult
        package func detach() throws -> Loader.DetachOutcome { try onNode { try loader().detach() } }
    }

    package init(_ mode: AttachMode = .automatic, pods: [Int] = [2, 3]) throws {
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
    package func traces() throws -> [String] {
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
    package func attached() throws -> [String] {
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
    package func linkCount() throws -> Int {
        ((try? FileManager.default.contentsOfDirectory(atPath: place.pinPath + "/links")) ?? []).count
    }
}
