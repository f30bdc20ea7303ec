return { name = ..., secret = require("shared").secret }
