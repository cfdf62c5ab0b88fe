/** The conformance suite against a server whose devices keep the metadata. */
import { conformanceSuite } from "./harness/conformance.js"

void conformanceSuite("conformance")
