import ArgumentParser
import WeirDiagnostics
import WeirInventory
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

/// What every command about the tunnel compiles: an inventory, a node, and what an inventory does not say.
struct TunnelArguments: ParsableArguments {
    @OptionGroup var inventorySource: InventorySourceOptions
    @OptionGroup var node: NodeOptions

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

    /// Reads the inventory and compiles it; prints every finding. Errors end with status 1.
    ///
    /// - Parameter fallback: the node that a live command takes where nothing is said: the host's name.
    func configuration(fallback: String? = nil) throws -> TunnelConfiguration {
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
            inventory: inventory, node: name, options: options, diagnostics: &findings)
        for finding in findings.sorted { Terminal.report(finding) }
        guard let configuration else { throw ExitStatus.invalidInput }
        return configuration
    }
}
