import Foundation
import Testing

/// Output that is kept in `Tests/Fixtures/commands`, for people to read. `WEIR_RECORD=1` writes it anew: look at the
/// difference before it is committed.
enum Golden {
    static func expect(
        _ output: String, _ name: String, sourceLocation: Testing.SourceLocation = #_sourceLocation
    ) throws {
        let path = "\(Weir.package)/Tests/Fixtures/commands/\(name)"
        if ProcessInfo.processInfo.environment["WEIR_RECORD"] == "1" {
            try output.write(toFile: path, atomically: true, encoding: .utf8)
        }
        let kept = try String(contentsOfFile: path, encoding: .utf8)
        #expect(output == kept, "\(name) differs; WEIR_RECORD=1 records it", sourceLocation: sourceLocation)
    }
}
