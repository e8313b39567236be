internal import WeirKernel
internal import WeirModel
internal import WeirNetlink

extension Loader {
    package struct DetachOutcome: Hashable, Sendable, Codable {
        /// `interface/direction (kind)`, sorted.
        package var detached: [String] = []
        /// Whether there was anything at all.
        package var wasPresent = false
    }

    /// Takes away everything that this set made: programs off their hooks, clsact where weir made it and nobody else
    /// uses it, pins, state. Again is the same as once. Works with the pins of any version.
    package func detach() throws(LoaderError) -> DetachOutcome {
        try bordered {
            guard Files.exists(layout.root) || Files.exists(layout.staging) || Files.exists(state.path) else {
                return DetachOutcome()
            }
            return try state.locked(timeout: options.lockTimeout) { try detachLocked() }
        }
    }

    private func detachLocked() throws -> DetachOutcome {
        var outcome = DetachOutcome()
        if Files.exists(layout.root) {
            outcome.wasPresent = true
            try requireSameNamespace(try .current())
            let attacher = Attacher(layout, state)
            let survey = try AttachmentSurvey(layout, ownPrograms: try PinnedSet.programIDs(layout))
            for (hook, attachment) in survey.attached.sorted(by: { $0.key < $1.key }) {
                try attacher.detach(hook, attachment.kind, pin: attachment.pin)
                outcome.detached.append(describe(hook, attachment.kind, survey.names))
            }
            // Qdiscs that were made for a filter that never came.
            for interface in try state.load().createdQdiscs.sorted() { try attacher.removeQdiscIfOurs(interface) }
        }
        try removePins()
        return outcome
    }
}
