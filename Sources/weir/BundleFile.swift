import ArgumentParser
import WeirDiagnostics
import WeirImage

/// A bundle at a path; `-` is standard input.
enum BundleFile {
    /// The image in it. Whatever is wrong with the file ends with status 1.
    ///
    /// - Parameter node: the node that it has to be for; nil is any.
    static func image(at path: String, node: String?) throws -> Image {
        do {
            let image = try Image(decoding: try Stream.contents(of: path))
            if let node, node != image.node {
                throw invalid(path, .unknownNode, "the bundle is for node '\(image.node)', not '\(node)'")
            }
            return image
        } catch let error as ImageFormatError {
            throw invalid(path, .invalidBundle, error.description)
        } catch let error as StreamFailure {
            throw invalid(path, .fileUnreadable, "cannot be read: \(error)")
        }
    }

    private static func invalid(_ path: String, _ id: DiagnosticID, _ message: String) -> ExitCode {
        Terminal.report(Diagnostic(.error, id, message, at: SourceLocation(file: path)))
        return ExitStatus.invalidInput
    }
}
