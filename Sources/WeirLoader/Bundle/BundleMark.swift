internal import Foundation

/// The newest trusted bundle that this state directory has seen: what is older is refused.
///
/// A file of its own, because it outlives what is loaded: neither a detach nor a restart makes an old bundle good again.
struct BundleMark: RememberedState, Equatable {
    /// 1: first version.
    static let currentFormat = 1

    var format = Self.currentFormat
    var serial: UInt64 = 0
    /// Its digest, in hexadecimal, for people.
    var bundle = ""
}

/// A bundle that was found to be trusted, before it is known to be new enough.
package struct BundleAdmission: Hashable, Sendable {
    package var serial: UInt64
    package var digest: [UInt8]
    /// Apply it also where it is older, and take its serial for the newest from now on.
    package var allowsOlder: Bool

    package init(serial: UInt64, digest: [UInt8], allowsOlder: Bool) {
        self.serial = serial
        self.digest = digest
        self.allowsOlder = allowsOlder
    }
}

extension StateDirectory {
    var markPath: String { "\(path)/bundle.json" }

    /// Throws where a newer bundle was here before.
    func requireNewEnough(_ admission: BundleAdmission) throws {
        guard !admission.allowsOlder else { return }
        let mark = try BundleMark.load(
            markPath, remedy: "it says which bundle was the newest; --allow-older goes on without it")
        guard admission.serial >= mark.serial else {
            throw LoaderError.refused(
                "the bundle is older than what was applied here before: its serial is \(admission.serial), and "
                    + "\(mark.serial) was applied",
                hint: "compile it again with a serial of at least \(mark.serial), or apply it with --allow-older")
        }
    }

    /// Runs the body while the bundle is the newest: it is remembered when the body calls `remember`, and forgotten
    /// where the body then fails and has committed nothing. A run that ends in between leaves the mark: it is never
    /// below what is in force.
    func admitting<Value>(
        _ admission: BundleAdmission?, _ body: (_ remember: () throws -> Void) throws -> Value
    ) throws -> Value {
        guard let admission else { return try body {} }
        try requireNewEnough(admission)
        let former = try Files.read(markPath)
        let mark = BundleMark(serial: admission.serial, bundle: admission.digest.hexadecimal)
        do {
            return try body { try mark.save(markPath) }
        } catch {
            if case .afterCommit = LoaderError(error) { throw error }
            if let former { try? Files.write(former, to: markPath) } else { _ = try? Files.removeFile(markPath) }
            throw error
        }
    }
}
