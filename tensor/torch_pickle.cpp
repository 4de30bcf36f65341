#include "tensor/torch_pickle.h"

#include <algorithm>
#include <iomanip>
#include <set>

#include "tensor/pickle_stack.h"
#include "tensor/safetensors_header.h"

namespace vila {

namespace {

using namespace pickle;

constexpr GlobalName kGlobals[] = {
    {"collections", "OrderedDict", Global::OrderedDict},
    {"torch._utils", "_rebuild_tensor_v2", Global::RebuildTensor},
    {"torch._utils", "_rebuild_parameter", Global::RebuildParameter},
    {"torch", "Size", Global::Size},
    {"torch", "FloatStorage", Global::Storage, "F32"},
    {"torch", "HalfStorage", Global::Storage, "F16"},
    {"torch", "BFloat16Storage", Global::Storage, "BF16"},
    {"torch", "DoubleStorage", Global::Storage, "F64"},
    {"torch", "LongStorage", Global::Storage, "I64"},
    {"torch", "IntStorage", Global::Storage, "I32"},
    {"torch", "ShortStorage", Global::Storage, "I16"},
    {"torch", "CharStorage", Global::Storage, "I8"},
    {"torch", "ByteStorage", Global::Storage, "U8"},
    {"torch", "BoolStorage", Global::Storage, "BOOL"},
    {"torch", "float32", Global::DTypeName},
    {"torch", "float16", Global::DTypeName},
    {"torch", "bfloat16", Global::DTypeName},
    {"torch", "float64", Global::DTypeName},
    {"torch", "int64", Global::DTypeName},
};

constexpr size_t kMaxShown = 80;  // characters of a foreign name in a message

class Interpreter {
  public:
    explicit Interpreter(std::string_view bytes) : bytes_(bytes) {}

    std::vector<PickledTensor> run() {
        while (!stopped_) {
            const size_t at = at_;
            try {
                step(static_cast<unsigned char>(take(1)[0]));
            } catch (const Error& error) {
                throw Error(str(error.what(), ", at byte ", at));
            }
        }
        VILA_CHECK(at_ == bytes_.size(), "bytes follow its end");
        VILA_CHECK(stack_.depth() == 1 && !stack_.has_marks(), "it does not end with one value");
        return entries(stack_.value(stack_.pop()));
    }

  private:
    std::string_view take(size_t count) {
        VILA_CHECK(count <= bytes_.size() - at_, "it is cut short");
        at_ += count;
        return bytes_.substr(at_ - count, count);
    }
    uint64_t little_endian(size_t count) {
        const std::string_view bytes = take(count);
        uint64_t value = 0;
        for (size_t i = count; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
        return value;
    }
    std::string_view line() {
        const size_t end = bytes_.find('\n', at_);
        VILA_CHECK(end != std::string_view::npos, "unterminated name");
        const std::string_view text = take(end - at_);
        take(1);
        return text;
    }

    void step(unsigned char opcode);
    void push_int(int64_t number) { stack_.push({.kind = Kind::Int, .number = number}); }
    void push_text(uint64_t length) {
        stack_.push({.kind = Kind::Text, .text = std::string(take(length))});
    }
    void push_long(size_t count) {
        VILA_CHECK(count <= 8, "an integer of ", count, " bytes: expected at most 8");
        uint64_t value = little_endian(count);
        // Two's complement of `count` bytes.
        const bool is_negative = count > 0 && count < 8 && (value >> (8 * count - 1)) != 0;
        if (is_negative) value |= ~uint64_t{0} << (8 * count);
        push_int(static_cast<int64_t>(value));
    }
    void push_global();
    void push_storage();
    void call();
    void add_items(const std::vector<size_t>& items);
    void push_tensor(const Value& arguments);
    std::vector<PickledTensor> entries(const Value& dict) const;

    std::string_view bytes_;
    size_t at_ = 0;
    bool stopped_ = false;
    PickleStack stack_;
    std::vector<PickledTensor> tensors_;
};

void Interpreter::step(unsigned char opcode) {
    switch (opcode) {
        case 0x80: {  // PROTO
            const uint64_t version = little_endian(1);
            VILA_CHECK(version == 2 && at_ == 2, "protocol ", version, ": expected 2 at the start");
            return;
        }
        case '.':  // STOP
            stopped_ = true;
            return;
        case '(':  // MARK
            stack_.mark();
            return;
        case '}':  // EMPTY_DICT
            return stack_.push({.kind = Kind::Dict});
        case ']':  // EMPTY_LIST
            return stack_.push({.kind = Kind::List});
        case ')':  // EMPTY_TUPLE
            return stack_.push({.kind = Kind::Tuple});
        case 't': {  // TUPLE
            std::vector<size_t> items = stack_.pop_to_mark();
            return stack_.push({.kind = Kind::Tuple, .items = std::move(items)});
        }
        case 0x85:  // TUPLE1
            return stack_.push_tuple(1);
        case 0x86:  // TUPLE2
            return stack_.push_tuple(2);
        case 0x87:  // TUPLE3
            return stack_.push_tuple(3);
        case 's': {  // SETITEM
            const size_t value = stack_.pop();
            const size_t key = stack_.pop();
            return add_items({key, value});
        }
        case 'u':  // SETITEMS
            return add_items(stack_.pop_to_mark());
        case 'a': {  // APPEND
            const size_t value = stack_.pop();
            stack_.container(Kind::List).items.push_back(value);
            return;
        }
        case 'e': {  // APPENDS
            const std::vector<size_t> items = stack_.pop_to_mark();
            std::vector<size_t>& list = stack_.container(Kind::List).items;
            list.insert(list.end(), items.begin(), items.end());
            return;
        }
        case 'X':  // BINUNICODE
            return push_text(little_endian(4));
        case 'U':  // SHORT_BINSTRING
            return push_text(little_endian(1));
        case 'J':  // BININT
            return push_int(static_cast<int32_t>(little_endian(4)));
        case 'K':  // BININT1
            return push_int(static_cast<int64_t>(little_endian(1)));
        case 'M':  // BININT2
            return push_int(static_cast<int64_t>(little_endian(2)));
        case 0x8a:  // LONG1
            return push_long(little_endian(1));
        case 'G':  // BINFLOAT: nothing here is made of floats
            take(8);
            return stack_.push({.kind = Kind::Float});
        case 'N':  // NONE
            return stack_.push({});
        case 0x88:  // NEWTRUE
            return stack_.push({.kind = Kind::Bool, .number = 1});
        case 0x89:  // NEWFALSE
            return stack_.push({.kind = Kind::Bool});
        case 'q':  // BINPUT
            return stack_.remember(little_endian(1));
        case 'r':  // LONG_BINPUT
            return stack_.remember(little_endian(4));
        case 'h':  // BINGET
            return stack_.recall(little_endian(1));
        case 'j':  // LONG_BINGET
            return stack_.recall(little_endian(4));
        case 'c':  // GLOBAL
            return push_global();
        case 'Q':  // BINPERSID
            return push_storage();
        case 'R':  // REDUCE
            return call();
        case 'b': {  // BUILD: attributes of a state dictionary, which say nothing about tensors
            stack_.pop();
            VILA_CHECK(stack_.container(Kind::Dict).is_ordered,
                       "it sets attributes of a plain dictionary");
            return;
        }
        default:
            throw Error(str("operation 0x", std::hex, std::setw(2), std::setfill('0'),
                            static_cast<int>(opcode), " is none of those that describe tensors"));
    }
}

void Interpreter::push_global() {
    const std::string_view module = line();
    const std::string_view name = line();
    // Older files spell the module of the storage classes in full.
    for (const GlobalName& known : kGlobals) {
        const bool is_module = known.module == module ||
                               (known.global == Global::Storage && module == "torch.storage");
        if (is_module && known.name == name)
            return stack_.push({.kind = Kind::Global, .global = &known});
    }
    throw Error(str("global ", json_quoted(module.substr(0, kMaxShown)), " ",
                    json_quoted(name.substr(0, kMaxShown)),
                    " is none of those that describe tensors"));
}

void Interpreter::push_storage() {
    const Value& id = stack_.value(stack_.pop());
    VILA_CHECK(id.kind == Kind::Tuple && id.items.size() == 5,
               "a storage is described by a tuple of five");
    VILA_CHECK(stack_.item(id, 0, Kind::Text, "storage").text == "storage",
               "a storage of another kind");
    const GlobalName* global = stack_.item(id, 1, Kind::Global, "class of a storage").global;
    VILA_CHECK(global->global == Global::Storage, "a storage of class ", global->name);
    Value storage = {.kind = Kind::Storage, .global = global};
    storage.text = stack_.item(id, 2, Kind::Text, "key of a storage").text;
    stack_.item(id, 3, Kind::Text, "place of a storage");
    storage.number = stack_.item(id, 4, Kind::Int, "elements of a storage").number;
    VILA_CHECK(storage.number >= 0, "a storage of ", storage.number, " elements");
    stack_.push(std::move(storage));
}

void Interpreter::call() {
    const size_t arguments_index = stack_.pop();
    const size_t function_index = stack_.pop();
    const Value& arguments = stack_.value(arguments_index);
    const Value& function = stack_.value(function_index);
    VILA_CHECK(function.kind == Kind::Global && arguments.kind == Kind::Tuple, "it calls ",
               kind_text(function.kind));
    const size_t count = arguments.items.size();
    switch (function.global->global) {
        case Global::OrderedDict:
            VILA_CHECK(count == 0, "an OrderedDict made of arguments");
            return stack_.push({.kind = Kind::Dict, .is_ordered = true});
        case Global::Size:
            VILA_CHECK(count == 1, "a torch.Size of ", count, " arguments");
            stack_.item(arguments, 0, Kind::Tuple, "torch.Size");
            stack_.push_again(arguments.items[0]);
            return;
        case Global::RebuildTensor:
            return push_tensor(arguments);
        case Global::RebuildParameter:
            VILA_CHECK(count == 3, "a parameter of ", count, " arguments");
            stack_.item(arguments, 0, Kind::Tensor, "parameter");
            stack_.push_again(arguments.items[0]);
            return;
        case Global::Storage:
        case Global::DTypeName:
            break;
    }
    throw Error(str("it calls ", function.global->name));
}

void Interpreter::add_items(const std::vector<size_t>& items) {
    VILA_CHECK(items.size() % 2 == 0, "a key without a value");
    Value& dict = stack_.container(Kind::Dict);
    dict.items.insert(dict.items.end(), items.begin(), items.end());
}

void Interpreter::push_tensor(const Value& arguments) {
    const size_t count = arguments.items.size();
    VILA_CHECK(count == 6 || count == 7, "a tensor of ", count, " arguments");
    const Value& storage = stack_.item(arguments, 0, Kind::Storage, "storage of a tensor");
    PickledTensor tensor;
    tensor.storage = storage.text;
    tensor.dtype = storage.global->dtype;
    tensor.storage_numel = storage.number;
    tensor.offset = stack_.item(arguments, 1, Kind::Int, "offset of a tensor").number;
    tensor.shape =
        stack_.numbers(stack_.item(arguments, 2, Kind::Tuple, "shape of a tensor"), "shape");
    tensor.strides =
        stack_.numbers(stack_.item(arguments, 3, Kind::Tuple, "strides of a tensor"), "strides");
    tensors_.push_back(std::move(tensor));
    stack_.push({.kind = Kind::Tensor, .number = static_cast<int64_t>(tensors_.size()) - 1});
}

// Checks that every element is in the storage, and that there are no more elements than it has.
void check_inside(const PickledTensor& tensor) {
    const std::string what = "tensor " + tensor.name;
    VILA_CHECK_EQ(tensor.strides.rank(), tensor.shape.rank(), what, ": strides");
    VILA_CHECK(tensor.offset >= 0 && tensor.offset <= tensor.storage_numel, what, ": offset ",
               tensor.offset, " in a storage of ", tensor.storage_numel);
    bool overflow = false;
    int64_t numel = 1;
    int64_t last = tensor.offset;
    for (int axis = 0; axis < tensor.shape.rank(); ++axis) {
        int64_t step = 0;
        const int64_t steps = std::max<int64_t>(tensor.shape[axis] - 1, 0);
        overflow |= __builtin_mul_overflow(numel, tensor.shape[axis], &numel);
        overflow |= __builtin_mul_overflow(steps, tensor.strides[axis], &step);
        overflow |= __builtin_add_overflow(last, step, &last);
    }
    VILA_CHECK(!overflow, what, ": shape ", tensor.shape, " overflows 64 bits");
    VILA_CHECK(numel == 0 || last < tensor.storage_numel, what, ": shape ", tensor.shape,
               " with strides ", tensor.strides, " runs out of its storage of ",
               tensor.storage_numel);
    VILA_CHECK(numel <= tensor.storage_numel, what, ": shape ", tensor.shape,
               " repeats elements of a storage of ", tensor.storage_numel);
}

std::vector<PickledTensor> Interpreter::entries(const Value& dict) const {
    VILA_CHECK(dict.kind == Kind::Dict, "it holds ", kind_text(dict.kind),
               ": expected a dictionary of tensors");
    std::vector<PickledTensor> tensors;
    std::set<std::string> names;
    for (size_t i = 0; i < dict.items.size(); i += 2) {
        const std::string& name = stack_.item(dict, i, Kind::Text, "key of the dictionary").text;
        check_tensor_name(name);
        const Value& value = stack_.value(dict.items[i + 1]);
        VILA_CHECK(value.kind == Kind::Tensor, "entry ", json_quoted(name), " is ",
                   kind_text(value.kind), ": expected a tensor");
        VILA_CHECK(names.insert(name).second, "duplicate tensor ", json_quoted(name));
        tensors.push_back(tensors_[static_cast<size_t>(value.number)]);
        tensors.back().name = name;
        check_inside(tensors.back());
    }
    return tensors;
}

}  // namespace

std::vector<PickledTensor> read_tensor_pickle(std::string_view bytes) {
    try {
        return Interpreter(bytes).run();
    } catch (const Error& error) {
        throw Error(str("pickle: ", error.what()));
    }
}

}  // namespace vila
