package import WeirKernel
package import WeirModel

/// Something that is not as it should be on a node. Ids are stable; `ExitCodesAndDiagnostics.md` lists them.
package struct Finding: Hashable, Sendable, Codable {
    package enum ID: String, Hashable, Sendable, Codable, CaseIterable {
        case atWork = "at-work"
        case bpfFileSystemHidden = "bpffs-hidden"
        case bpfFileSystemMissing = "bpffs-missing"
        case bundleLost = "bundle-lost"
        case conntrackFull = "conntrack-full"
        case controlFrozen = "control-frozen"
        case dropsConntrackInsert = "drops-conntrack-insert"
        case dropsNoSlot = "drops-no-slot"
        case dropsNoVerdict = "drops-no-verdict"
        case endpointAbsent = "endpoint-absent"
        case endpointDenied = "endpoint-denied"
        case filterBefore = "filter-before"
        case helperMissing = "helper-missing"
        case hookMissing = "hook-missing"
        case hookUnneeded = "hook-unneeded"
        case imageMissing = "image-missing"
        case interfaceGone = "interface-gone"
        case interfaceUnjudged = "interface-unjudged"
        case jitOff = "jit-off"
        case linkDead = "link-dead"
        case mapTypeMissing = "map-type-missing"
        case notEnforcing = "not-enforcing"
        case notLoaded = "not-loaded"
        case otherABI = "other-abi"
        case pinsIncompatible = "pins-incompatible"
        case programBefore = "program-before"
        case programOtherMaps = "program-other-maps"
        case programUnused = "program-unused"
        case programsRefused = "programs-refused"
        case slotBuilding = "slot-building"
        case slotNotReady = "slot-not-ready"
        case stagingLeft = "staging-left"
        case stateDamaged = "state-damaged"
        case stateElsewhere = "state-elsewhere"
        case stateLeftovers = "state-leftovers"
        case stateMissing = "state-missing"
        case tunnelMissing = "tunnel-missing"
        case unprivilegedBPF = "unprivileged-bpf"
    }

    package enum Severity: String, Hashable, Sendable, Codable {
        /// Traffic is not judged as the policy says, or cannot be.
        case error
        /// It is now, but something is wrong, or will be.
        case warning
    }

    package var severity: Severity
    package var id: ID
    package var message: String
    /// What to do, with a command where there is one.
    package var remedy: String
}

/// Somebody else's program on a hook of ours.
package struct Neighbour: Hashable, Sendable, Codable {
    package var interface: String
    package var direction: Direction
    package var kind: AttachKind
    /// nil: a filter that is no BPF program.
    package var programID: UInt32?
    package var name: String
    /// Whether packets meet it before they meet weir.
    package var isBefore: Bool
}

/// What `weir doctor` found. Encodes as its JSON.
package struct DoctorReport: Hashable, Sendable, Codable {
    package var pinPath: String
    /// Whether anything of weir is pinned there.
    package var isLoaded = false
    /// nil where nobody may look for it.
    package var local: LocalStatus?
    /// Errors first, then in the order of ids.
    package var findings: [Finding] = []
    /// In the order of hooks, and of each hook's chain.
    package var neighbours: [Neighbour] = []

    mutating func add(_ severity: Finding.Severity, _ id: Finding.ID, _ message: String, remedy: String) {
        findings.append(Finding(severity: severity, id: id, message: message, remedy: remedy))
    }

    fileprivate var sorted: DoctorReport {
        var report = self
        report.findings.sort {
            ($0.severity == .error ? 0 : 1, $0.id.rawValue, $0.message)
                < ($1.severity == .error ? 0 : 1, $1.id.rawValue, $1.message)
        }
        return report
    }
}

extension Loader {
    /// Looks for everything that keeps this node from enforcing its policy. Changes nothing and takes no lock. Throws
    /// where it may not look.
    package func examine() throws(LoaderError) -> DoctorReport {
        try bordered {
            var report = DoctorReport(pinPath: layout.root)
            try examineMachine(&report)
            if try Files.isLocked(state.lockPath) {
                report.add(
                    .warning, .atWork, "another weir holds \(state.lockPath): what follows may be its unfinished work",
                    remedy: "run weir doctor again when it has ended")
            }
            if try examineFileSystem(&report) {
                try examinePins(&report)
                try examineLocal(&report)
            }
            return report.sorted
        }
    }
}
