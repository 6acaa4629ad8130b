// Layers on a grid: windows over rows and columns of pre units.
#pragma once
#include "common.cuh"

// The windows of a layer. Post units are (channel, row, column); pre unit (c, y, x) is c · channel_stride +
// y · row_stride + x · column_stride. A tap is (channel of the input, row, column of the window), flat.
struct Windows {
    int channels, rows, columns;  // of the pre units
    int kernel_rows, kernel_columns, down, right, above, left;
    int out_channels, out_rows, out_columns;
    int channel_stride, row_stride, column_stride;

    __device__ __forceinline__ int kernel() const { return kernel_rows * kernel_columns; }
    __device__ __forceinline__ int places() const { return out_rows * out_columns; }
};
