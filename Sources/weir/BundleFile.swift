import ArgumentParser
import Foundation
import WeirBundle
import WeirDiagnostics
import WeirImage
import WeirLoader
import WeirNode

/// A bundle at a path; `-` is standard input.
enum BundleFile {
    /// More is no bundle.
    private static let maximumBytes = 1 << 30

    /// The image in it. Whatever is wrong with the file ends with status 1.
    ///
    /// - Parameter node: the node that it has to be for; nil is any.
    static func image(at path: String, node: String?) throws -> Image { try bundle(at: path, node: node).image }

    /// All of it. Whatever is wrong with the file ends with status 1; whoever signed it is not asked for.
    static func bundle(at path: String, node: String?) throws -> NodeBundle {
        try bundle(in: try container(at: path), at: path, node: node)
    }

    /// The frame, undamaged.
    static func container(at path: String) throws -> BundleContainer {
        let bytes = try bytes(at: path)
        do throws(BundleFormatError) { return try BundleContainer(decoding: bytes) } catch {
            throw invalid(path, .invalidBundle, error.description)
        }
    }

    /// What is in a frame.
    static func bundle(in container: BundleContainer, at path: String, node: String?) throws -> NodeBundle {
        let bundle: NodeBundle
        do throws(BundleFormatError) { bundle = try NodeBundle(container) } catch {
            throw invalid(path, .invalidBundle, error.description)
        }
        if let node, node != bundle.image.node {
            throw invalid(path, .unknownNode, "the bundle is for node '\(bundle.image.node)', not '\(node)'")
        }
        return bundle
    }

    private static func bytes(at path: String) throws -> [UInt8] {
        do {
            guard let bytes = try Stream.contents(of: path, limit: maximumBytes) else {
                throw invalid(path, .inputTooLarge, "a bundle has at most \(maximumBytes) bytes")
            }
            return bytes
        } catch let error as StreamFailure {
            throw invalid(path, .fileUnreadable, "cannot be read: \(error)")
        }
    }

    private static func invalid(_ path: String, _ id: DiagnosticID, _ message: String) -> ExitCode {
        Terminal.report(Diagnostic(.error, id, message, at: SourceLocation(file: path)))
        return ExitStatus.invalidInput
    }
}

/// Whom this machine believes.
struct TrustOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Believe only bundles that one of the keys in this directory has signed.",
            valueName: "dir"))
    var trustedKeys: String?

    var directory: String? { trustedKeys ?? Environment.optional("TRUSTED_KEYS") }

    /// For what takes files, too: those are signed by nobody.
    func requireBundle(_ path: String?) throws {
        guard directory == nil || path != nil else {
            throw ValidationError("With --trusted-keys nothing is taken but a bundle: give one.")
        }
    }

    /// nil where nobody asks.
    func keys() throws -> TrustedKeys? {
        guard let directory else { return nil }
        do throws(LoaderError) { return try TrustedKeys.load(directory: directory) } catch {
            throw Refusal(error.description)
        }
    }
}

/// The bundle that changes this node, and under which condition.
struct AdmittedBundle {
    var bundle: NodeBundle
    /// The whole file.
    var bytes: [UInt8]
    /// nil where no signature is asked for.
    var admission: BundleAdmission?
}

extension BundleFile {
    /// The bundle, if this node may have it. With trusted keys a bundle that is not signed by one of them, is damaged, or
    /// is for another node than this one ends with status 3; without, only what is damaged, or for another node
    /// than the one that is asked for, ends, with status 1.
    static func admitted(
        at path: String, _ trust: TrustOptions, node: NodeOptions, allowOlder: Bool
    ) throws -> AdmittedBundle {
        guard trust.directory != nil else {
            let container = try container(at: path)
            return AdmittedBundle(
                bundle: try bundle(in: container, at: path, node: node.wanted), bytes: container.bytes)
        }
        return try refusing {
            guard let keys = try trust.keys() else {
                throw Refusal("\(path): nobody is trusted", hint: "give --trusted-keys DIR")
            }
            let container: BundleContainer
            let bundle: NodeBundle
            let bytes = try bytes(at: path)
            do throws(BundleFormatError) { container = try BundleContainer(decoding: bytes) } catch {
                throw Refusal("\(path): \(error)", hint: "get it again from where it was made")
            }
            // Before what it holds is looked at.
            do throws(BundleTrustError) { _ = try keys.require(container) } catch {
                throw Refusal("\(path): \(error)", hint: error.hint)
            }
            do throws(BundleFormatError) { bundle = try NodeBundle(container) } catch {
                throw Refusal("\(path): \(error)", hint: "compile it again with the weir of this node")
            }
            let wanted = node.wanted ?? ProcessInfo.processInfo.hostName
            guard bundle.image.node == wanted else {
                throw Refusal(
                    "\(path): the bundle is for node '\(bundle.image.node)', and this is '\(wanted)'",
                    hint: "take this node's bundle, or say with --node what this node is called")
            }
            return AdmittedBundle(
                bundle: bundle, bytes: bytes,
                admission: BundleAdmission(
                    serial: bundle.provenance.serial, digest: container.digest, allowsOlder: allowOlder))
        }
    }
}

extension NodePolicy {
    /// Says where the sources of a bundle cannot be used.
    func complainOfSources() {
        guard let sourcesProblem else { return }
        Terminal.complain(
            "weir: warning: the bundle's sources cannot be read, so endpoints that come later are not known: "
                + "\(sourcesProblem); compile it again with this weir")
    }
}
