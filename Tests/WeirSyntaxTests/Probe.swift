import Testing
@testable import WeirSyntax
