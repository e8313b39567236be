import ArgumentParser
import WeirBundle

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Read a bundle: where it comes from, who signed it, and what it holds. Needs no root and no kernel.",
        discussion: """
            Without --trusted-keys it says which key signed, not whether anybody should believe it.

            Examples:
              weir inspect node-a.weir
              weir inspect node-a.weir --trusted-keys /etc/weir/keys --verify --output json
            """)

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

    @Argument(help: "A bundle that weir compile wrote; - is standard input.")
    var bundle: String
    @OptionGroup var trust: TrustOptions
    @Flag(help: "Exit status 3 unless one of the trusted keys signed it.")
    var verify = Environment.flag("VERIFY")
    @OptionGroup var node: NodeOptions
    @Option(help: "Format: table or json.")
    var output = Environment.value("OUTPUT", default: Format.table)

    func validate() throws {
        guard !verify || trust.directory != nil else { throw ValidationError("--verify needs --trusted-keys DIR.") }
    }

    func run() throws {
        let trusted = try refusing { try trust.keys() }
        let container = try BundleFile.container(at: bundle)
        let content = try BundleFile.bundle(in: container, at: bundle, node: node.wanted)
        let report = BundleReport(container, content, trusted: trusted)
        try refusing {
            try Terminal.output(output == .json ? try json(report) : report.text)
            guard verify, let trusted else { return }
            do throws(BundleTrustError) { _ = try trusted.require(container) } catch {
                throw Refusal("\(bundle): \(error)", hint: error.hint)
            }
        }
    }
}

extension BundleReport {
    fileprivate var text: String {
        var rows = [
            ["node", provenance.node], ["digest", digest], ["signature", signature.text],
            ["serial", "\(provenance.serial)"], ["created", created ?? "not said"],
            ["source revision", provenance.sourceRevision ?? "not said"],
            ["made by", "weir \(provenance.weir), ABI \(provenance.abi), format \(format)"],
            ["image", imageDigest], ["size", "\(bytes) bytes"], ["peer groups", "\(peerGroups)"],
            ["API servers", apiServers.isEmpty ? "none" : apiServers.joined(separator: " ")],
        ]
        rows += provenance.options.sorted { $0.key < $1.key }.filter { !$0.value.isEmpty }.map {
            ["--\($0.key)", $0.value]
        }
        var parts = [
            table(["BUNDLE", ""], rows),
            table(["SECTION", "BYTES"], sections.map { [$0.name, "\($0.bytes)"] }),
            table(["INPUT", "SHA-256"], provenance.inputs.map { [$0.path, $0.sha256] }),
            table(
                ["ENDPOINT", "ADDRESSES", "PLACE"],
                endpoints.map {
                    [$0.name + ($0.audited ? " (audit)" : ""), $0.addresses.joined(separator: " "), $0.place]
                }),
            table(["MAP", "ENTRIES"], maps.map { [$0.name, "\($0.entries)"] }),
            table(["RULE"], rules.map { [$0] }),
        ]
        if let tunnel {
            let interfaces = tunnel.interfaces.joined(separator: ", ")
            parts.append(
                "Tunnel: \(interfaces), port \(tunnel.listenPort), key \(tunnel.publicKey), routes: \(tunnel.routes)\n\n"
                    + table(
                        ["PEER", "ENDPOINT", "KEY", "ALLOWED IPS"],
                        tunnel.peers.map {
                            [$0.node, $0.endpoint ?? "-", $0.publicKey, $0.allowedIPs.joined(separator: " ")]
                        }))
        }
        return parts.joined(separator: "\n")
    }
}

extension BundleReport.Signature {
    fileprivate var text: String {
        let by = key.map { "by key \($0)" } ?? "of an unknown kind"
        return switch trust {
        case .unsigned: "none"
        case .unchecked: "\(by), not checked (see --trusted-keys)"
        case .trusted: "\(by), trusted as \(trustedAs ?? "")"
        case .untrusted: "\(by), not trusted"
        case .invalid: "\(by), INVALID: it does not fit this bundle"
        }
    }
}
