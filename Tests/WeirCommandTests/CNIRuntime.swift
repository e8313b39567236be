import Foundation
import Testing

/// Runs a list of plugins as a container runtime does: what CNI's own library makes of a network configuration list, of its
/// environment and of results. One of these is one network on one node.
struct CNIRuntime: Sendable {
    /// What a plugin answered with a status other than 0.
    struct Failure: Error, CustomStringConvertible {
        var plugin: String
        var code: Int?
        var message: String
        var errors: String
        var description: String { "\(plugin): \(code.map(String.init) ?? "no code"): \(message) \(errors)" }
    }

    /// A container's interface.
    struct Attachment: Hashable, Sendable {
        var container: String
        var interface = "eth0"
        /// Path of the network namespace; empty where it is gone.
        var namespacePath: String
        /// CNI_ARGS.
        var arguments: [String: String] = [:]
        /// The annotations of the pod, for plugins with that capability.
        var annotations: [String: String] = [:]
    }

    /// A network configuration list, as in /etc/cni/net.d.
    let configuration: String
    /// Where plugins are, in order.
    let path: [String]
    /// Where results are kept between operations, as /var/lib/cni/results.
    let cache: String
    /// What runs the plugins on the node.
    let wrapper: [String]

    private static let annotationsCapability = "io.kubernetes.cri.pod-annotations"

    // MARK: Operations

    /// Runs all plugins; the result of each is what the next is given. The last one is kept, and returned.
    @discardableResult
    func add(_ attachment: Attachment) async throws -> [String: Any] {
        var result: [String: Any]?
        for plugin in try plugins() {
            let outcome = try await run("ADD", plugin, attachment, previous: result)
            let object: [String: Any] = try #require(outcome.object, "\(plugin): \(outcome.output)")
            result = object
        }
        let last = try #require(result)
        try JSONSerialization.data(withJSONObject: last).write(to: URL(fileURLWithPath: file(attachment)))
        return last
    }

    /// In reverse order, with the kept result, which is then forgotten.
    func delete(_ attachment: Attachment) async throws {
        let result = kept(attachment)
        for plugin in try plugins().reversed() { try await run("DEL", plugin, attachment, previous: result) }
        try? FileManager.default.removeItem(atPath: file(attachment))
    }

    func check(_ attachment: Attachment) async throws {
        guard try list()["disableCheck"] as? Bool != true else { return }
        let result = try #require(kept(attachment), "nothing was added")
        for plugin in try plugins() { try await run("CHECK", plugin, attachment, previous: result) }
    }

    /// Deletes what is kept and not valid, then lets every plugin do the same.
    func collectGarbage(keeping valid: [Attachment], of known: [Attachment]) async throws {
        for attachment in known where !valid.contains(attachment) && kept(attachment) != nil {
            try await delete(attachment)
        }
        guard try version() >= "1.1.0" else { return }
        let names = valid.map { ["containerID": $0.container, "ifname": $0.interface] }
        for plugin in try plugins() {
            var plugin = plugin
            plugin["cni.dev/valid-attachments"] = names
            plugin["cni.dev/attachments"] = names
            try await run("GC", plugin, nil, previous: nil)
        }
    }

    func status() async throws {
        guard try version() >= "1.1.0" else { return }
        for plugin in try plugins() { try await run("STATUS", plugin, nil, previous: nil) }
    }

    // MARK: One plugin

    /// What an attachment's last ADD gave; nil where there was none.
    func kept(_ attachment: Attachment) -> [String: Any]? {
        FileManager.default.contents(atPath: file(attachment)).flatMap {
            try? JSONSerialization.jsonObject(with: $0) as? [String: Any]
        }
    }

    private func file(_ attachment: Attachment) -> String { "\(cache)/\(attachment.container)-\(attachment.interface)" }

    private func list() throws -> [String: Any] { try #require(Outcome.object(configuration)) }
    private func version() throws -> String { try #require(try list()["cniVersion"] as? String) }

    /// The entries of the list, each with the list's name and version.
    private func plugins() throws -> [[String: Any]] {
        let list = try list()
        return try #require(list["plugins"] as? [[String: Any]]).map { plugin in
            var plugin = plugin
            plugin["name"] = list["name"]
            plugin["cniVersion"] = list["cniVersion"]
            return plugin
        }
    }

    @discardableResult
    private func run(
        _ operation: String, _ plugin: [String: Any], _ attachment: Attachment?, previous: [String: Any]?
    ) async throws -> Outcome {
        var plugin = plugin
        plugin["prevResult"] = previous
        let capabilities = plugin["capabilities"] as? [String: Bool] ?? [:]
        if capabilities[Self.annotationsCapability] == true, let attachment, !attachment.annotations.isEmpty {
            plugin["runtimeConfig"] = [Self.annotationsCapability: attachment.annotations]
        }
        let type = try #require(plugin["type"] as? String)
        let executable = try #require(
            path.map { "\($0)/\(type)" }.first { FileManager.default.isExecutableFile(atPath: $0) }, "no plugin \(type)"
        )
        var environment = ["CNI_COMMAND": operation, "CNI_PATH": path.joined(separator: ":")]
        if let attachment {
            environment["CNI_CONTAINERID"] = attachment.container
            environment["CNI_IFNAME"] = attachment.interface
            environment["CNI_NETNS"] = attachment.namespacePath
            environment["CNI_ARGS"] =
                attachment.arguments.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ";")
        }
        let input = String(decoding: try JSONSerialization.data(withJSONObject: plugin), as: UTF8.self)
        let outcome = try await Weir.command(wrapper + [executable], input: input, environment: environment)
        guard outcome.status == 0 else {
            throw Failure(
                plugin: "\(operation) \(type)", code: outcome.object?["code"] as? Int,
                message: outcome.object?["msg"] as? String ?? outcome.output, errors: outcome.errors)
        }
        return outcome
    }
}
