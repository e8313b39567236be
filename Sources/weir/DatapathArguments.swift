import ArgumentParser
import Foundation
import WeirLoader
import WeirMaps

/// What `apply` asks of the datapath besides the policy.
struct DatapathArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Devices of the node that the host firewall guards, separated by commas.",
            discussion: "Without it: those with an address of the node's or a default route.", valueName: "names"))
    var devices: String?

    @Option(
        help: ArgumentHelp(
            "Go back to the policy before unless weir confirm is run within this time, 60 or 60s.",
            valueName: "seconds"),
        transform: Self.duration)
    var confirmWithin: Duration?

    @Flag(help: "Apply a host policy although it cuts this SSH session or an API server.")
    var force = false

    @Flag(help: "Report what policy would drop and let it pass, on the whole node.")
    var policyAuditMode = Environment.flag("POLICY_AUDIT_MODE")

    @Flag(help: "Let endpoints ask for their address by DHCP.")
    var allowDHCP = Environment.flag("ALLOW_DHCP")

    func set(_ options: inout Loader.Options) {
        options.devices = (devices ?? Environment.optional("DEVICES"))?.split(separator: ",").map {
            $0.trimmingCharacters(in: .whitespaces)
        }
        options.confirmWithin = confirmWithin
        options.isForced = force
        options.isAudited = policyAuditMode
        if allowDHCP { options.programs.insert(.dhcp) }
        options.session = ProcessInfo.processInfo.environment["SSH_CONNECTION"].flatMap {
            RemoteSession(sshConnection: $0)
        }
    }

    private static func duration(_ text: String) throws -> Duration {
        let number = text.hasSuffix("s") ? text.dropLast() : text[...]
        guard let seconds = Double(number), seconds >= 1, seconds <= 86_400 else {
            throw ValidationError("'\(text)' is not a number of seconds from 1 to 86400.")
        }
        return .milliseconds(Int64(seconds * 1000))
    }
}
