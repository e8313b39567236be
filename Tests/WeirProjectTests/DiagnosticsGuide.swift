import WeirDiagnostics
import WeirImage
import WeirLoader

/// `ExitCodesAndDiagnostics.md`, from the enumerations and the header.
struct DiagnosticsGuide {
    let header: ABIHeader

    /// What the statuses mean in general.
    private static let statuses: [(String, String)] = [
        ("0", "done"),
        ("1", "invalid input: policies, an inventory, flows, expectations, a bundle, or a file that is not there"),
        ("2", "something that was asked about was found"),
        (
            "3",
            "the kernel, permissions or the state of the node refused; the node is as it was, unless the message says else"
        ),
        ("4", "expectations failed"),
        ("64", "usage: an unknown command or option, or options that exclude each other"),
        ("128 + n", "signal n ended it; 141 is a closed pipe"),
    ]

    /// By command, beside 0, 64 and 128 + n, which each may have: a test asks the executable for its commands.
    private static let commands: [(String, String)] = [
        ("weir apply", "1; 2 with `--dry-run --detailed-exitcode`: something would change; 3"),
        ("weir bundle key", "3: the file is there already, or cannot be written"),
        ("weir cni", "1: any error, as the CNI specification has it; its code is in the JSON on standard output"),
        ("weir compile", "1; 3: the key to sign with, or where to write"),
        ("weir confirm", "3: nothing waits to be confirmed, or the time is over"),
        ("weir ct flush", "1: no such endpoint; 3"),
        ("weir ct list", "1: no such endpoint; 3"),
        ("weir detach", "3"),
        ("weir diff", "1; 2: there is a difference, of the kind that `--fail-on` names; 3: git or the node"),
        ("weir doctor", "2: something was found; 3: it may not look"),
        ("weir endpoint add", "3: no such interface, or it cannot be put in force; denied on purpose is 0"),
        ("weir endpoint list", "1; 3"),
        ("weir endpoint remove", "1: it was not added here; 3"),
        ("weir explain", "1; 3 with `--live`"),
        ("weir identity list", "1; 3"),
        ("weir inspect", "1: damaged; 3 with `--verify`: signed by none of the trusted keys"),
        ("weir inventory", "1"),
        ("weir lint", "1: it cannot be compiled; 2: a finding is as severe as `--fail-on`"),
        ("weir map dump", "1; 3"),
        ("weir map list", "1; 3"),
        ("weir map lookup", "1; 2: no such entry; 3"),
        ("weir monitor", "3: nothing is loaded, or another monitor reads"),
        ("weir restore", "3: it cannot be restored"),
        ("weir rollback", "3: no earlier policy, or one that does not know today's pods"),
        ("weir rule list", "1; 3"),
        ("weir status", "3"),
        (
            "weir test",
            "1: policies or expectations are invalid; 4: an expectation failed, or coverage is below `--fail-under`"
        ),
        (
            "weir verdict",
            "1: also where one line of `--flows` cannot be judged; a denial is 0; 3 with `--backend kernel`"
        ),
        ("weir version", ""),
        ("weir wireguard apply", "1; 3"),
        ("weir wireguard down", "3"),
        ("weir wireguard key", "3"),
        ("weir wireguard plan", "1; 2 with `--detailed-exitcode`: something would change; 3"),
        ("weir wireguard render", "1"),
        ("weir wireguard rotate", "3: also where a peer has not answered on the other lane"),
        ("weir wireguard status", "1; 2: the device differs from the inventory, or from what was applied; 3"),
    ]

    /// The groups of `DiagnosticID`, each from its first id on.
    private static let groups: [(String, DiagnosticID)] = [
        ("Files and documents", .fileUnreadable), ("Shape of a document", .notAnObject), ("Values", .invalidValue),
        ("Rules", .conflictingFields), ("Several objects together", .duplicateName),
        ("Of weir lint only", .unmatchedSubject), ("Tunnels: weir wireguard, and bundles", .missingWireGuardKey),
    ]

    var text: String {
        var lines = [
            "# Exit codes and diagnostics", "", GuideText.notice, "",
            "What a script may depend on: statuses, ids of findings, reasons of drops. None of them changes its meaning.",
            "",
            "## Exit codes", "", "| status | meaning |", "| --- | --- |",
        ]
        lines += Self.statuses.map { "| \($0) | \($1) |" }
        lines += ["", "By command, beside 0, 64 and 128 + n:", "", "| command | statuses |", "| --- | --- |"]
        lines += Self.commands.map { "| `\($0)` | \($1) |" }
        lines += [
            "", "Any command ends with 3 where it cannot write its output.", "",
            "## Diagnostics", "",
            "`path:line:column: severity: message [id]`, notes below, on standard error; `lint` and `compile` write them as data with",
            "`--output sarif` or `github`. An id is an error unless its line says warning or note. Errors end with status 1,",
            "before any system call.",
        ]
        let ids = DiagnosticID.allCases
        for (index, (title, first)) in Self.groups.enumerated() {
            let start = ids.firstIndex(of: first) ?? ids.endIndex
            let next = index + 1 < Self.groups.count ? ids.firstIndex(of: Self.groups[index + 1].1) : nil
            lines += ["", "### \(title)", ""]
            if first == .unmatchedSubject {
                lines += ["What compiles and is probably not meant. `weir lint --disable ID` switches one off.", ""]
            }
            lines += ["| id | what is wrong |", "| --- | --- |"]
            lines += ids[start..<(next ?? ids.endIndex)].map { "| `\($0.rawValue)` | \($0.summary) |" }
        }
        lines += [
            "", "## Drop reasons", "",
            "In `weir status`, `weir monitor` and the map `drops`. [Troubleshooting](Troubleshooting.md) says for each what to do.",
            "",
            "| number | reason | when |", "| --- | --- | --- |",
        ]
        lines += dropReasonNames.enumerated().map { index, name in
            "| \(index + 1) | [`\(name)`](Troubleshooting.md#\(name)) | \(Self.words(index + 1, header)) |"
        }
        lines += [
            "", "## What doctor finds", "",
            "`weir doctor` ends with 2 where it found something. An *error* keeps packets from being judged as the policy says, or the",
            "next apply from working; a *warning* is about what may. Each finding has its remedy.", "",
            "| id | what is wrong |", "| --- | --- |",
        ]
        lines += Finding.ID.allCases.map { "| `\($0.rawValue)` | \(Self.words($0)) |" }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The header's comment, or what the name alone says.
    private static func words(_ reason: Int, _ header: ABIHeader) -> String {
        let constant = header.enumerations.first { $0.name == "weir_reason" }?.constants.first { $0.value == reason }
        if let comment = constant?.comment, !comment.isEmpty { return comment }
        return switch dropReasonName(UInt32(reason)) {
        case "policy-deny": "a rule denies it"
        case "policy-default-deny": "no rule allows it, and policy enforces this direction"
        case "truncated": "shorter than its link-layer header"
        case "unknown-ethertype": "neither IPv4 nor IPv6 nor ARP"
        case "vlan": "a VLAN tag, from or to an endpoint"
        case "ipv4-source-route": "loose or strict source routing, whether used up or not"
        case "link-local": "to or from 169.254.0.0/16 or fe80::/10, which policy does not reach"
        case "v4-mapped": "an address in ::ffff:0:0/96"
        default: ""
        }
    }

    private static func words(_ id: Finding.ID) -> String {
        switch id {
        case .atWork: "warning: another weir holds the lock, so the rest may be its unfinished work"
        case .bpfFileSystemHidden:
            "bpf file systems are mounted over each other; an error where nothing is pinned in the upper one"
        case .bpfFileSystemMissing: "error: the pin path is not on a bpf file system"
        case .bundleLost: "error: what weir restore would apply after a reboot is missing or damaged"
        case .conntrackFull: "warning: 90 % of a conntrack table is taken"
        case .controlFrozen: "error: nothing can be committed"
        case .dropsConntrackInsert: "warning: allowed packets whose flow could not be recorded"
        case .dropsNoSlot, .dropsNoVerdict: "error: packets met a slot or table that is not complete"
        case .endpointAbsent: "warning: the inventory has an endpoint of this node that has no interface here"
        case .endpointDenied: "warning: nothing passes at a registered endpoint's interface, and why"
        case .filterBefore:
            "a filter of clsact runs before ours: an error if its answer is the verdict (direct action), else a warning"
        case .helperMissing, .mapTypeMissing: "error: this kernel lacks what the programs need"
        case .hookMissing: "error: an endpoint's interface without our program"
        case .hookUnneeded: "warning: our program on an interface that the policy does not know"
        case .imageMissing: "warning: names and lines of the policy in force are lost"
        case .interfaceGone: "warning: an endpoint of the policy has no interface any longer"
        case .interfaceUnjudged:
            "warning: an interface leads into another network namespace, and no endpoint is known there"
        case .jitOff: "warning: programs are interpreted"
        case .linkDead: "warning: a pinned link whose interface is gone"
        case .notEnforcing: "error: pins are there and no policy is in force"
        case .notLoaded: "error: the state directory tells of a policy, and nothing is pinned, as after a boot"
        case .otherABI: "error: another version of weir loaded the policy in force"
        case .pinsIncompatible: "error: a pinned map is missing or of another layout"
        case .programBefore: "warning: somebody's tcx program runs before ours; nobody can tell what it answers"
        case .programOtherMaps: "error: a program on a hook of ours does not read the pinned maps"
        case .programUnused: "warning: pinned programs that no hook runs"
        case .programsRefused: "error: the verifier does not take the programs"
        case .slotBuilding: "warning: an apply ended half-way; the other slot rules"
        case .slotNotReady: "error: the slot in force is not complete"
        case .stagingLeft: "warning: a staging directory of a run that ended early"
        case .stateDamaged: "error: the state file cannot be read"
        case .stateElsewhere: "error: the set belongs to another network namespace"
        case .stateLeftovers: "warning: files that no slot needs"
        case .stateMissing: "warning: the state file is gone"
        case .tunnelMissing:
            "error: the policy in force wants encryption, and the devices that the programs know are not there"
        case .unprivilegedBPF: "warning: every user may load BPF programs"
        }
    }
}
