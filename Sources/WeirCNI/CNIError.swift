internal import WeirJSON

/// What a plugin answers where it could not do what it was asked (CNI specification, section 5, "Error").
package struct CNIError: Error, Hashable, Sendable {
    /// 1 to 99 are the specification's (section 5, "Well-known error codes", and section 2, "STATUS"), from 100 ours.
    package enum Code: Int, Hashable, Sendable, CaseIterable {
        /// The configuration, or what it hands on, is of a version that weir does not speak.
        case incompatibleVersion = 1
        /// The configuration asks for what weir does not do.
        case unsupportedField = 2
        /// CHECK of an attachment that was never added, or was deleted.
        case unknownContainer = 3
        /// A CNI_* variable is missing or is not what it may be.
        case invalidEnvironment = 4
        /// The configuration or a file that it names cannot be read.
        case ioFailure = 5
        /// The configuration is not JSON.
        case decodingFailure = 6
        /// The configuration lacks something, or something in it is not what it may be.
        case invalidConfiguration = 7
        /// Another weir is at work; asked again, this may be done.
        case tryAgainLater = 11
        /// STATUS: a pod that comes now could not be served.
        case notAvailable = 50
        /// STATUS: as `notAvailable`, and pods that are there are not served as they should be.
        case limitedConnectivity = 51

        /// The container's interface has no host side on which packets could be filtered.
        case noHostSide = 100
        /// The container has no address, two of one family, or one that no container can have.
        case unusableAddresses = 101
        /// The node could not be changed or asked; weir's own message says why.
        case nodeRefused = 102
        /// CHECK: the attachment is not as it was registered, or not in force.
        case notInForce = 103
    }

    package var code: Code
    /// What, and where.
    package var message: String
    /// The remedy.
    package var details: String?

    package init(_ code: Code, _ message: String, details: String? = nil) {
        self.code = code
        self.message = message
        self.details = details
    }

    /// As standard output has it.
    func json(version: SpecificationVersion) -> JSONValue {
        .object(
            [
                JSONValue.Member("cniVersion", .string(version.rawValue)),
                JSONValue.Member("code", .number(String(code.rawValue))),
                JSONValue.Member("msg", .string(message)),
            ] + (details.map { [JSONValue.Member("details", .string($0))] } ?? []))
    }
}

extension CNIError: CustomStringConvertible {
    package var description: String { message + (details.map { " (\($0))" } ?? "") }
}

/// A version of the CNI specification that weir speaks.
package enum SpecificationVersion: String, Hashable, Sendable, CaseIterable, Comparable {
    case v0_4_0 = "0.4.0"
    case v1_0_0 = "1.0.0"
    case v1_1_0 = "1.1.0"

    /// In which an answer is where the question names none.
    package static let newest = v1_1_0

    package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    static var list: String { allCases.map(\.rawValue).joined(separator: ", ") }
}
