return { secret = "shared" }
