/*
 * runaways.h - scripts that never end by themselves, each in another way; all are to be stopped.
 */
#ifndef ROOST_TESTS_RUNAWAYS_H
#define ROOST_TESTS_RUNAWAYS_H

typedef struct runaway {
  const char *name;
  const char *code;
} runaway;

#define LOOP "while true do end "

static const runaway runaways[] = {
    {"loop", LOOP},
    {"goto", "::again:: goto again"},
    {"for", "for i = 1, math.maxinteger do end"},
    {"loop in pcall", "while true do pcall(function() " LOOP "end) end"},
    {"errors in pcall", "while true do pcall(error, 'x') end"},
    {"tower of pcalls", "local function f() return pcall(f) end while true do f() end"},
    {"tower of pcalls by themselves", "while true do pcall(pcall, pcall, pcall, error) end"},
    {"pcall goes on after the error",
     "local function f() while true do pcall(f, 1) end end while true do pcall(f) end"},
    {"xpcall", "while true do xpcall(function() " LOOP "end, function(e) return e end) end"},
    {"loop in an xpcall handler", "xpcall(error, function() " LOOP "end)"},
    {"loop in the handler, too", "xpcall(function() " LOOP "end, function() " LOOP "end)"},
    {"handler that fails in a loop", "while true do xpcall(error, error) end"},
    {"xpcall in its handler",
     "local function h() xpcall(error, h) " LOOP "end while true do xpcall(error, h) end"},
    {"coroutine", "coroutine.wrap(function() " LOOP "end)()"},
    {"coroutine in pcall",
     "while true do pcall(coroutine.wrap(function() pcall(function() " LOOP "end) end)) end"},
    {"nested coroutines",
     "local function deep(n) if n == 0 then " LOOP "end\n"
     "while true do coroutine.resume(coroutine.create(deep), n - 1) end end deep(20)"},
    {"many coroutines",
     "while true do coroutine.resume(coroutine.create(function() return 1 end)) end"},
    {"generator",
     "local next = coroutine.wrap(function() while true do coroutine.yield(1) end end)\n"
     "while true do next() end"},
    {"loop in close",
     "do local x <close> = setmetatable({}, { __close = function() " LOOP "end }) end"},
    {"closed after the stop, in a loop",
     "local x <close> = setmetatable({}, { __close = function() " LOOP "end })\n" LOOP},
    {"closed after the stop, with pcall",
     "local x <close> = setmetatable({}, { __close = function()\n"
     "while true do pcall(function() " LOOP "end) end end })\n" LOOP},
    {"many closed after the stop",
     "local function f(n) local x <close> = setmetatable({}, { __close = function() " LOOP
     "end })\n"
     "if n == 0 then " LOOP "end f(n - 1) end f(100)"},
    {"close in a coroutine that is stopped",
     "coroutine.wrap(function()\n"
     "local x <close> = setmetatable({}, { __close = function() " LOOP "end })\n" LOOP "end)()"},
    {"coroutine.close", "local co = coroutine.create(function()\n"
                        "local x <close> = setmetatable({}, { __close = function() " LOOP "end })\n"
                        "coroutine.yield() end) coroutine.resume(co) coroutine.close(co)"},
    {"wrap that closes",
     "pcall(coroutine.wrap(function()\n"
     "local x <close> = setmetatable({}, { __close = function() " LOOP "end })\n"
     "error('x') end))"},
    {"finalizer", "setmetatable({}, { __gc = function() " LOOP "end }) collectgarbage() " LOOP},
    {"finalizer with pcall",
     "setmetatable({}, { __gc = function() while true do pcall(function() " LOOP "end) end end })\n"
     "collectgarbage() " LOOP},
    {"finalizers without end", "local mt = {} function mt.__gc() setmetatable({}, mt) end\n"
                               "setmetatable({}, mt) while true do collectgarbage() end"},
    {"finalizer in a coroutine",
     "coroutine.wrap(function() setmetatable({}, { __gc = function()\n"
     "coroutine.wrap(function() " LOOP "end)() end }) collectgarbage() " LOOP "end)()"},
    {"callable finalizer",
     "setmetatable({}, { __gc = setmetatable({}, { __call = function() " LOOP "end }) })\n"
     "collectgarbage() " LOOP},
    {"pcall as finalizer", "setmetatable({}, { __gc = pcall, __call = function() " LOOP "end })\n"
                           "collectgarbage() " LOOP},
    {"comparator", "table.sort({ 3, 2, 1 }, function() " LOOP "end)"},
    {"comparator with pcall", "while true do pcall(table.sort, { 3, 2, 1 }, function()\n"
                              "while true do pcall(function() " LOOP "end) end end) end"},
    {"coroutine in a comparator",
     "while true do pcall(table.sort, { 3, 2, 1 }, function()\n"
     "pcall(coroutine.wrap(function() pcall(function() " LOOP "end) end)) end) end"},
    {"comparator in a coroutine with close",
     "kept = coroutine.create(function()\n"
     "local x <close> = setmetatable({}, { __close = function() " LOOP "end })\n"
     "table.sort({ 3, 2, 1 }, function() " LOOP "end) end) coroutine.resume(kept) " LOOP},
    {"callback of gsub", "(' '):rep(10):gsub('.', function() " LOOP "end)"},
    {"callback of gsub in a coroutine",
     "coroutine.wrap(function() pcall(string.gsub, 'x', '.', function() " LOOP "end) " LOOP
     "end)()"},
    {"deep recursion", "local function f() return 1 + f() end while true do pcall(f) end"},
    {"tail calls", "local function f() return f() end f()"},
    {"table that grows", "local t = {} while true do t[#t + 1] = t\n"
                         "if #t > 100000 then t = {} end end"},
    {"text that grows",
     "local s = '' while true do s = s .. 'x' if #s > 10000 then s = '' end end"},
    {"closures",
     "while true do local t = {} for i = 1, 100 do t[i] = function() return i end end end"},
    {"index", "local t = setmetatable({}, { __index = function(t, k) " LOOP "end }) return t.x"},
    {"arithmetic", "local t = setmetatable({}, { __add = function(a, b) return a + b end })\n"
                   "while true do pcall(function() return t + t end) end"},
    {"less than, from C", "local mt = { __lt = function() " LOOP "end }\n"
                          "table.sort { setmetatable({}, mt), setmetatable({}, mt) }"},
    {"tostring", "while true do pcall(tostring, setmetatable({}, { __tostring = function() " LOOP
                 "end })) end"},
    {"format", "string.format('%s', setmetatable({}, { __tostring = function() " LOOP "end }))"},
    {"iterator", "for _ in function() return 1 end do end"},
    {"pairs", "for _ in pairs(setmetatable({}, { __pairs = function() " LOOP "end })) do end"},
    {"reader of load", "load(function() " LOOP "end)"},
    {"many chunks", "while true do load('return 1')() end"},
    {"many C calls", "while true do string.rep('x', 10) end"},
    {"C function called by pcall", "while true do pcall(string.rep, 'x', 10) end"},
    {"require", "package.preload.endless = function() " LOOP "end\n"
                "while true do pcall(require, 'endless') end"},
    {"searcher", "package.searchers[1] = function() " LOOP "end require 'nothing'"},
    {"select on a long list",
     "local function f(...) return select('#', ...) end\n"
     "local t = table.pack(('x'):rep(200):byte(1, -1)) while true do f(table.unpack(t)) end"},
    {"pattern that backtracks", "string.find(('a'):rep(100), ('a*'):rep(30) .. 'b')"},
    {"gsub on blanks", "string.gsub((' '):rep(1000000) .. 'x', '%s+$', '')"},
    {"match in pcall", "while true do pcall(string.match, ('a'):rep(1000000), '.-b') end"},
    {"gmatch in a coroutine",
     "coroutine.wrap(function() for _ in (('('):rep(1000000)):gmatch('%b()') do end end)()"},
    {"search for a text",
     "local a = ('a'):rep(10000000) a:find(a:sub(1, 5000000) .. 'b', 1, true)"},
    {"move", "table.move({}, 1, 1 << 62, 2)"},
    {"insert", "table.insert(setmetatable({}, { __len = function() return 1 << 62 end }), 1, 'x')"},
    {"remove", "table.remove(setmetatable({}, { __len = function() return 1 << 62 end }), 1)"},
    {"move in a comparator",
     "table.sort({ 3, 2, 1 }, function() table.move({}, 1, 1 << 62, 2) end)"},
    {"concat",
     "while true do table.concat(setmetatable({}, { __index = rawlen }), '', 1, 1000000) end"},
    {"load", "load(function() return 'x = 1 ' end)"},
    {"load in pcall", "while true do pcall(load, ('x = 1 '):rep(100000)) end"},
    {"load in a callback of gsub",
     "string.gsub('x', 'x', function() while true do load(('x = 1 '):rep(100000)) end end)"},
};

#endif
