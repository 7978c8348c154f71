"""Why a subject diverges: another convention, the stage where the error enters, or unexplained."""
