import ArgumentParser
import WeirDiagnostics
import WeirInventory
import WeirLoader
import WeirModel
import WeirSyntax
import WeirWireGuard

extension TunnelOptions.AllowedIPs: ExpressibleByArgument {}

/// Decimal, or hexadecimal after 0x, as `ip rule` and `wg` print it.
struct FirewallMark: ExpressibleByArgument {
    var value: UInt32

    init(value: UInt32) { self.value = value }

    init?(argument: String) {
        let value = argument.hasPrefix("0x") ? UInt32(argument.dropFirst(2), radix: 16) : UInt32(argument)
        guard let value else { return nil }
        self.value = value
    }

    var defaultValueDescription: String { "0x\(String(value, radix: 16))" }
}

/// What an inventory does not say about the tunnel.
struct TunnelShapeOptions: ParsableArguments {
    @Option(help: "The UDP port of WireGuard on every node; a second device has the next one while keys rotate.")
    var listenPort = Environment.value("LISTEN_PORT", default: TunnelOptions.defaultListenPort)

    @Option(help: "The MTU of the network devices of nodes that do not say themselves.")
    var mtu = Environment.value("MTU", default: TunnelOptions.defaultUnderlayMTU)

    @Option(
        help: "Send an empty packet after so many quiet seconds, to nodes that do not say themselves; 0 sends none.")
    var persistentKeepalive = Environment.value("PERSISTENT_KEEPALIVE", default: UInt16(0))

    @Option(
        name: .customLong("allowed-ips"),
        help: "What a node's peers are allowed to send from: pod-cidrs, or pods where pod networks belong to no node.")
    var allowedIPs = Environment.value("ALLOWED_IPS", default: TunnelOptions.AllowedIPs.podCIDRs)

    @Option(help: "The mark of the packets that WireGuard itself sends; 0 is none.")
    var firewallMark = Environment.value(
        "FIREWALL_MARK", default: FirewallMark(value: TunnelOptions.defaultFirewallMark))

    @Option(help: "The number of a routing table that nothing else uses.")
    var routingTable = Environment.value("ROUTING_TABLE", default: TunnelOptions.defaultRoutingTable)

    @Option(help: "The preference of the rule that leads to it, before main (32766).")
    var rulePreference = Environment.value("RULE_PREFERENCE", default: TunnelOptions.defaultRulePreference)

    var options: TunnelOptions {
        TunnelOptions(
            listenPort: listenPort, firewallMark: firewallMark.value, routingTable: routingTable,
            rulePreference: rulePreference, underlayMTU: mtu, persistentKeepalive: persistentKeepalive,
            allowedIPs: allowedIPs)
    }

    func validate() throws {
        if let problem = options.problem { throw ValidationError("Not possible: \(problem).") }
    }
}

/// What every command about the tunnel takes: a bundle, or an inventory, a node, and what an inventory does not say.
struct TunnelArguments: ParsableArguments {
    @OptionGroup var inventorySource: InventorySourceOptions
    @Option(help: "A bundle that weir compile wrote, instead of an inventory; - is standard input.")
    private var bundle: String?
    @OptionGroup var trust: TrustOptions
    @OptionGroup var node: NodeOptions
    @OptionGroup var shape: TunnelShapeOptions

    /// What the command line says goes before what the environment says.
    var bundlePath: String? {
        bundle ?? (inventorySource.inventory.isEmpty ? Environment.optional("BUNDLE") : nil)
    }
    var areGiven: Bool { bundlePath != nil || !inventorySource.paths.isEmpty }

    func validate() throws {
        guard bundle == nil || inventorySource.inventory.isEmpty else {
            throw ValidationError("Give either --bundle or --inventory.")
        }
        guard bundlePath == nil || shape.options == TunnelOptions() else {
            throw ValidationError("The bundle's tunnel is compiled already: its options belong to weir compile.")
        }
        if areGiven { try trust.requireBundle(bundlePath) }
    }

    /// For commands that can do nothing without a tunnel.
    func require() throws {
        if !areGiven { try inventorySource.require() }
    }

    /// The tunnel, and where it is of a bundle that had to be trusted, under which condition it may be applied.
    ///
    /// - Parameter fallback: the node that a live command takes where nothing is said: the host's name.
    func tunnel(
        fallback: String? = nil, allowOlder: Bool = false
    ) throws -> (configuration: TunnelConfiguration, admission: BundleAdmission?) {
        guard let bundlePath else { return (try configuration(fallback: fallback), nil) }
        let admitted = try BundleFile.admitted(at: bundlePath, trust, node: node, allowOlder: allowOlder)
        guard let tunnel = admitted.bundle.tunnel else {
            Terminal.complain(
                "weir: error: \(bundlePath) has no tunnel: node '\(admitted.bundle.image.node)' published no WireGuard "
                    + "key when it was compiled [\(DiagnosticID.missingWireGuardKey.rawValue)]")
            throw ExitStatus.invalidInput
        }
        return (tunnel, admitted.admission)
    }

    /// Reads the inventory and compiles it; prints every finding. Errors end with status 1.
    ///
    /// - Parameter fallback: the node that a live command takes where nothing is said: the host's name.
    private func configuration(fallback: String?) throws -> TunnelConfiguration {
        var diagnostics = DiagnosticsCollector()
        var reader = InputReader(maximumBytes: inventorySource.maxInputBytes)
        var decoder = InventoryDecoder(options: InventoryOptions(defaultNamespace: inventorySource.namespace))
        inventorySource.read(into: &decoder, with: &reader, &diagnostics)
        let inventory = decoder.finish(diagnostics: &diagnostics)
        for diagnostic in diagnostics.sorted { Terminal.report(diagnostic) }
        guard !diagnostics.hasErrors else { throw ExitStatus.invalidInput }
        let name = try node.resolve(inventory, fallback: fallback)
        var findings = DiagnosticsCollector()
        let configuration = TunnelCompiler.compile(
            inventory: inventory, node: name, options: shape.options, diagnostics: &findings)
        for finding in findings.sorted { Terminal.report(finding) }
        guard let configuration else { throw ExitStatus.invalidInput }
        return configuration
    }
}
