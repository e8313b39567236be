import ArgumentParser
import Glibc

/// The exit statuses of the command-line contract.
enum ExitStatus {
    static let invalidInput = ExitCode(1)
    static let found = ExitCode(2)
    static let refused = ExitCode(3)
    static let failed = ExitCode(4)
}

/// A failure of the environment, printed as one line with a hint below it.
struct Refusal: Error {
    var message: String
    var hint: String?

    init(_ message: String, hint: String? = nil) {
        self.message = message
        self.hint = hint
    }

    /// What a refusal is most likely due to; nil as root.
    static var rootHint: String? {
        geteuid() == 0 ? nil : "this needs root; compile and verdict by the emulator do not"
    }
}

/// Runs a command's body; what the environment refused ends with status 3.
func refusing<Result>(_ body: () throws -> Result) throws -> Result {
    do {
        return try body()
    } catch let refusal as Refusal {
        Terminal.report(refusal)
        throw ExitStatus.refused
    }
}
